"""Waits for ever, and takes no time of the processor.

Stopped by: watch (the clock)
Says: time: .* on the clock
Verdict: time
"""

import time

time.sleep(1_000_000)
