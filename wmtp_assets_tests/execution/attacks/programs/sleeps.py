"""Sleeps forever, using no CPU time.

Stopped by: watch (the clock)
Says: time: .* on the clock
Verdict: time
"""

import time

time.sleep(1_000_000)
