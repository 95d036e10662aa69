"""Fills the disk with files of the largest allowed size.

Stopped by: watch (bytes in its folder), the size of the view's file system
Says: more than 8388608 bytes in its folder|No space left
Verdict: failed: more than 8388608 bytes in its folder or failed: OSError: [Errno 28]
"""

import time

for number in range(100):
    with open(f"file-{number}", "wb") as file:
        file.write(b"x" * (1 << 20))
    time.sleep(0.02)  # ended long before it is through, also where whoever looks is slow to come
print("ESCAPED: wrote 100 MB")
