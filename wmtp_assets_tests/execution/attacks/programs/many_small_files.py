"""Fills the disk with many small files.

Stopped by: watch (files in its folder), the size of the view's file system
Says: more than 200 files|No space left
Verdict: failed: more than 200 files or failed: OSError: [Errno 28]
"""

import json
import time

TARGET = json.loads(input())
for number in range(300):
    with open(f"file-{number}", "w") as file:
        file.write("x")
    time.sleep(0.0005)
time.sleep(TARGET["patience"])
print("ESCAPED: wrote 300 files")
