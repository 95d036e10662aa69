"""Sends signals to the processes that started it.

Stopped by: seccomp, Landlock from version 6
Says: PermissionError
Verdict: failed: PermissionError
"""

import contextlib
import ctypes
import json
import os
import signal

TARGET = json.loads(input())
libc = ctypes.CDLL(None, use_errno=True)
refused = PermissionError("no call")
for pid in [os.getppid(), 0, -1, -os.getppid()]:
    try:
        os.kill(pid, signal.SIGUSR1 if pid > 0 else 0)
        print("ESCAPED: signalled", pid)
    except OSError as error:
        refused = error
for name in ("tkill", "rt_sigqueueinfo"):
    if libc.syscall(TARGET["numbers"][name], os.getppid(), signal.SIGUSR2, bytes(128)) == 0:
        print("ESCAPED: signalled by", name)
with contextlib.suppress(OSError):
    os.killpg(os.getpgid(os.getppid()), 0)
    print("ESCAPED: signalled a group")
raise refused
