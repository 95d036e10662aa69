"""Reads the kernel's keyrings, or leaves keys there.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import ctypes
import json

NUMBERS = json.loads(input())["numbers"]
ctypes.CDLL(None).syscall(NUMBERS["keyctl"], 0, -3, 1, 0, 0)
print("ESCAPED: the call was made")
