"""Becomes root in a user namespace of its own.

Stopped by: seccomp
Says: SIGSYS
"""

import ctypes
import json

NUMBERS = json.loads(input())["numbers"]
ctypes.CDLL(None).syscall(NUMBERS["unshare"], 0x10000000)
print("ESCAPED: the call was made")
