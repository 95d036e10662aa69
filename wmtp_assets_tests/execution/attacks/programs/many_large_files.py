"""Fills the disk with files of the largest allowed size.

Stopped by: watch (bytes in its folder), the size of the view's file system
Says: more than 8388608 bytes in its folder|No space left
Verdict: failed: more than 8388608 bytes in its folder or failed: OSError: [Errno 28]
"""

import json
import time

TARGET = json.loads(input())
for number in range(100):
    with open(f"file-{number}", "wb") as file:
        file.write(b"x" * (1 << 20))
    time.sleep(0.02)  # most of it is never written, unless whoever looks is slow to come
time.sleep(TARGET["patience"])
print("ESCAPED: wrote 100 MB")
