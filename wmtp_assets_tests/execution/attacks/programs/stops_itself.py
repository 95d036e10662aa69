"""Stops itself, so that no signal but SIGKILL reaches it.

Stopped by: watch (the clock)
Says: time: .* on the clock
Verdict: time
"""

import os
import signal

os.kill(os.getpid(), signal.SIGSTOP)
print("ESCAPED: somebody woke it")
