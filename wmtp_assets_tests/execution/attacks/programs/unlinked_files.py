r"""Fills the disk with files that it has deleted but keeps open.

Stopped by: Landlock where there is no view, limits (open files), the size of the view's file system
Says: OSError: \[Errno 24\]|No space left|PermissionError
Verdict: failed: OSError: [Errno 24] or failed: OSError: [Errno 28] or failed: PermissionError
"""

import os

kept = []
for number in range(200):
    kept.append(open("file", "wb", buffering=0))
    kept[-1].write(b"x" * (1 << 20))
    os.unlink("file")
print("ESCAPED: holds 200 MB on the disk")
