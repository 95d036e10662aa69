"""Reads the memory of its parent.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import ctypes
import json
import os

NUMBERS = json.loads(input())["numbers"]
ctypes.CDLL(None).syscall(NUMBERS["process_vm_readv"], os.getppid(), None, 0, None, 0, 0)
print("ESCAPED: the call was made")
