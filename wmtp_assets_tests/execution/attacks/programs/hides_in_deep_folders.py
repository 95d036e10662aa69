"""Writes files below a path that is too long for the watch to count them.

Stopped by: watch (a folder that it cannot count), the size of the view's file system
Says: a folder that cannot be counted|No space left
Verdict: failed: a folder that cannot be counted or failed: OSError: [Errno 28]
"""

import json
import os
import time

TARGET = json.loads(input())
for _ in range(17):
    os.mkdir("d" * 250)
    os.chdir("d" * 250)
for number in range(300):
    with open(str(number), "wb", buffering=0) as file:
        file.write(b"x")
time.sleep(TARGET["patience"])
print("ESCAPED: wrote 300 files that nobody counts")
