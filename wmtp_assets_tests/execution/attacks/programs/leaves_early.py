"""Ends with status 0 before what follows can fail.

Stopped by: the nonce that is printed after the last line
Says: left before its last line
Verdict: failed: no output
"""

import os

os._exit(0)
