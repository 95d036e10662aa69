"""Calls madvise on the memory of another process.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import ctypes
import json

NUMBERS = json.loads(input())["numbers"]
ctypes.CDLL(None).syscall(NUMBERS["process_madvise"], -1, None, 0, 0, 0)
print("ESCAPED: the call was made")
