"""Becomes root, or acquires capabilities.

Stopped by: seccomp, privileges
Says: PermissionError
Verdict: failed: PermissionError
"""

import ctypes
import os
import struct

for name, do in {
    "setuid": lambda: os.setuid(0),
    "setresuid": lambda: os.setresuid(0, 0, 0),
    "setgroups": lambda: os.setgroups([0]),
}.items():
    try:
        do()
        print("ESCAPED:", name)
    except OSError as error:
        refused = error
libc = ctypes.CDLL(None)
header, data = (
    struct.pack("=Ii", 0x20080522, 0),
    struct.pack("=6I", *[0xFFFFFFFF, 0xFFFFFFFF, 0] * 2),
)
if libc.capset(header, data) == 0:
    print("ESCAPED: has capabilities")
raise refused
