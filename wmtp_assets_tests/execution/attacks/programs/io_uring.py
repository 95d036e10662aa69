"""Makes system calls through io_uring, where no filter sees them.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import ctypes
import json

NUMBERS = json.loads(input())["numbers"]
ctypes.CDLL(None).syscall(NUMBERS["io_uring_setup"], 4, bytes(120))
print("ESCAPED: the call was made")
