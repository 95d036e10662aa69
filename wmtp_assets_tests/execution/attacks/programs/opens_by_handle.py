"""Opens a file by its handle, without passing through any folder.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import ctypes
import json

NUMBERS = json.loads(input())["numbers"]
ctypes.CDLL(None).syscall(NUMBERS["open_by_handle_at"], -100, bytes(24), 0)
print("ESCAPED: the call was made")
