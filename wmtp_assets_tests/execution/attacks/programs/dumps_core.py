"""Crashes to leave a core dump behind.

Stopped by: limits (core size), and the process is not dumpable
Says: SIGABRT
Verdict: failed: ended by SIGABRT
"""

import os

os.abort()
