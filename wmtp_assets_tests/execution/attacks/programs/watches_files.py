"""Watches what others do with files (inotify).

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import ctypes
import json
import os

TARGET = json.loads(input())
libc = ctypes.CDLL(None, use_errno=True)
opened = libc.syscall(TARGET["numbers"]["inotify_init1"], 0)
if opened >= 0 and libc.inotify_add_watch(opened, TARGET["outside"].encode(), 0xFFF) >= 0:
    print("ESCAPED: watches", TARGET["outside"])
number = ctypes.get_errno()
raise OSError(number, os.strerror(number))
