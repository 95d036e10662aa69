"""Loads a BPF program into the kernel.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import ctypes
import json

NUMBERS = json.loads(input())["numbers"]
ctypes.CDLL(None).syscall(NUMBERS["bpf"], 0, bytes(120), 120)
print("ESCAPED: the call was made")
