"""Nests folders so deeply that whatever counts or removes them fails.

Stopped by: watch (files in its folder), the size of the view's file system
Says: more than 200 files|No space left
Verdict: failed: more than 200 files or failed: OSError: [Errno 28]
"""

import json
import os
import time

TARGET = json.loads(input())
for _ in range(300):
    os.mkdir("d")
    os.chdir("d")
time.sleep(TARGET["patience"])
print("ESCAPED: is 300 folders deep")
