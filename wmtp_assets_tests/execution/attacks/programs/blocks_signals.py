"""Blocks or ignores every signal, and computes forever.

Stopped by: limits (CPU time; SIGKILL one second later)
Says: time:
Verdict: time
"""

import contextlib
import signal

signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
for number in signal.valid_signals():
    with contextlib.suppress(OSError, ValueError):
        signal.signal(number, signal.SIG_IGN)
while True:
    pass
