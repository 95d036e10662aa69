"""Becomes root in a user namespace of its own.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import ctypes
import json

NUMBERS = json.loads(input())["numbers"]
ctypes.CDLL(None).syscall(NUMBERS["unshare"], 0x10000000)
print("ESCAPED: the call was made")
