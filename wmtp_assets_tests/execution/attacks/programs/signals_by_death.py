"""Disables the signal that kills it when its parent ends.

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 1, 4, 36
for option, value in ((PR_SET_PDEATHSIG, 0), (PR_SET_DUMPABLE, 1), (PR_SET_CHILD_SUBREAPER, 1)):
    if libc.prctl(option, value, 0, 0, 0) == 0:
        print("ESCAPED: set", option)
number = ctypes.get_errno()
raise OSError(number, os.strerror(number))
