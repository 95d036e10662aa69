"""Writes files into a folder that can be written but not listed.

Stopped by: watch (a folder that it cannot count), the size of the view's file system
Says: a folder that cannot be counted|more than 200 files|No space left
Verdict: failed: more than 200 files or failed: a folder that cannot be counted
"""

import json
import os
import time

TARGET = json.loads(input())
os.mkdir("closed", 0o300)
for number in range(300):
    with open(f"closed/{number}", "wb", buffering=0) as file:
        file.write(b"x")
time.sleep(TARGET["patience"])
print("ESCAPED: wrote 300 files that nobody counts")
