"""Handles its own page faults, as kernel exploits do.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import ctypes
import json

NUMBERS = json.loads(input())["numbers"]
ctypes.CDLL(None).syscall(NUMBERS["userfaultfd"], 1)
print("ESCAPED: the call was made")
