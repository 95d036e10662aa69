"""Computes for ever.

Stopped by: limits (processor time)
Says: time:
Verdict: time
"""

while True:
    pass
