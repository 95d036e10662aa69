r"""Fills the disk with files that it has deleted but keeps mapped.

Stopped by: Landlock where there is no view, the size of the view's file system
Says: PermissionError|No space left
Verdict: failed: PermissionError or failed: OSError: [Errno 28]
"""

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
for _ in range(200):
    with open("file", "w+b", buffering=0) as file:
        file.write(b"x" * (1 << 20))
        assert libc.mmap(None, 4096, 1, 2, file.fileno(), 0)
    os.unlink("file")
print("ESCAPED: holds 200 MB on the disk, and none of it open")
