"""Leaves System V shared memory behind, which belongs to no process.

Stopped by: seccomp, view
Says: PermissionError
Verdict: failed: PermissionError
"""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
if libc.shmget(0, 4096, 0o1666) >= 0:
    print("ESCAPED: has shared memory")
number = ctypes.get_errno()
raise OSError(number, os.strerror(number))
