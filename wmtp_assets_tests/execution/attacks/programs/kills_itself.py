r"""Ends as if the machine's memory had run out, so that nobody judges it.

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
