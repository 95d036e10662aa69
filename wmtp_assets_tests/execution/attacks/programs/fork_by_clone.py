"""Starts processes by the system calls beneath fork: vfork, clone with shared memory, clone3.

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import ctypes
import json
import os
import signal

NUMBERS = json.loads(input())["numbers"]
libc = ctypes.CDLL(None, use_errno=True)
CLONE_FS, CLONE_NEWUSER = 0x200, 0x10000000
for name, flags in (
    ("clone", CLONE_FS | signal.SIGCHLD),
    ("clone", CLONE_NEWUSER | signal.SIGCHLD),
):
    found = libc.syscall(NUMBERS[name], flags, None, None, None, None)
    if found == 0:
        os._exit(0)
    if found > 0:
        print("ESCAPED: started a process by", name)
print("refused:", os.strerror(ctypes.get_errno()))
pid = os.posix_spawn("/bin/true", ["true"], {})
print("ESCAPED: spawned", pid)
