"""Takes an open file from another process (pidfd_getfd).

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import ctypes
import json
import os

NUMBERS = json.loads(input())["numbers"]
libc = ctypes.CDLL(None)
handle = libc.syscall(NUMBERS["pidfd_open"], os.getppid(), 0)
if libc.syscall(NUMBERS["pidfd_getfd"], handle, 0, 0) >= 0:
    print("ESCAPED: has its parent's descriptor 0")
print("ESCAPED: the call was made")
