"""Nests folders so deeply that whatever counts or removes them fails.

Stopped by: watch (files in its folder), the size of the view's file system
Says: more than 200 files|No space left
Verdict: failed: more than 200 files or failed: OSError: [Errno 28]
"""

import os
import time

for number in range(5000):
    os.mkdir("d")
    os.chdir("d")
    time.sleep(0.001)
print("ESCAPED: is 5,000 folders deep")
