"""Makes calls by another table of numbers (x32), which filters forget.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
Machine: x86_64
"""

import ctypes

ctypes.CDLL(None).syscall(0x40000000 + 39)
print("ESCAPED: the call was made")
