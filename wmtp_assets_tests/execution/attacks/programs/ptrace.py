"""Attaches to its parent as a debugger does.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import ctypes
import json
import os

NUMBERS = json.loads(input())["numbers"]
PTRACE_SEIZE = 0x4206
if ctypes.CDLL(None).syscall(NUMBERS["ptrace"], PTRACE_SEIZE, os.getppid(), 0, 0) == 0:
    print("ESCAPED: traces its parent")
print("ESCAPED: the call was made")
