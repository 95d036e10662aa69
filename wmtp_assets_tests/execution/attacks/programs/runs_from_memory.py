"""Starts a program that exists only in memory.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import ctypes
import json
import os

NUMBERS = json.loads(input())["numbers"]
libc = ctypes.CDLL(None, use_errno=True)
try:
    opened = os.memfd_create("program")
    print("ESCAPED: has a file without a name")
    os.write(opened, b"#!/bin/sh\necho ESCAPED: a shell\n")
except OSError as error:
    print("refused:", error)
    opened = 0
AT_EMPTY_PATH = 0x1000
arguments = (ctypes.c_char_p * 2)(b"program", None)
libc.syscall(NUMBERS["execveat"], opened, b"", arguments, arguments, AT_EMPTY_PATH)
print("ESCAPED: the call was made")
