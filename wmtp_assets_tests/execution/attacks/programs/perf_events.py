"""Measures other processes with the CPU's performance counters.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import ctypes
import json

NUMBERS = json.loads(input())["numbers"]
ctypes.CDLL(None).syscall(NUMBERS["perf_event_open"], bytes(128), 0, -1, -1, 0)
print("ESCAPED: the call was made")
