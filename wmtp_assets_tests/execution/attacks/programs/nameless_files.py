r"""Fills the disk with files that never had a name (O_TMPFILE).

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import mmap
import os

kept = []
for _ in range(20):
    file = os.open(".", os.O_TMPFILE | os.O_RDWR)
    os.write(file, b"x" * (1 << 20))
    kept.append(mmap.mmap(file, 4096))
    os.close(file)
print("ESCAPED: holds 20 MB on the disk that nobody counts")
