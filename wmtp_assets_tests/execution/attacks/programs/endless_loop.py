"""Computes forever.

Stopped by: limits (CPU time)
Says: time:
Verdict: time
"""

while True:
    pass
