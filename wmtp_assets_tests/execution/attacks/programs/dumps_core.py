"""Crashes, to leave an image of its memory behind.

Stopped by: limits (core), and it is not dumpable
Says: SIGABRT
Verdict: failed: ended by SIGABRT
"""

import os

os.abort()
