"""Makes system calls by the x32 numbers, which filters often miss.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
Machine: x86_64
"""

import ctypes

ctypes.CDLL(None).syscall(0x40000000 + 39)
print("ESCAPED: the call was made")
