"""Computes for ever.

Stopped by: limits (processor time)
Says: time:
"""

while True:
    pass
