r"""Kills itself as if the machine had run out of memory, so that it gets no verdict.

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import os
import signal

try:
    signal.pthread_kill(__import__("threading").get_ident(), signal.SIGKILL)
except OSError:
    os.kill(os.getpid(), signal.SIGKILL)
