"""Exits with status 0 before its tests can fail.

Stopped by: the nonce that must be printed after the last line
Says: left before its last line
Verdict: failed: no output
"""

import os

os._exit(0)
