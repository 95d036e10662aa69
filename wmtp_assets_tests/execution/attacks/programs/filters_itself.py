"""Installs a seccomp filter of its own, with which it could answer its own system calls.

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import ctypes
import json
import os

NUMBERS = json.loads(input())["numbers"]
libc = ctypes.CDLL(None, use_errno=True)
allow_all = ctypes.create_string_buffer(bytes((6, 0, 0, 0, 0, 0, 0xFF, 0x7F)), 8)
filter_ = (ctypes.c_void_p * 2)(1, ctypes.addressof(allow_all))
if libc.syscall(NUMBERS["seccomp"], 1, 8, filter_) >= 0:
    print("ESCAPED: has a filter of its own")
number = ctypes.get_errno()
raise OSError(number, os.strerror(number))
