"""Looks for other processes and their secrets in /proc.

Stopped by: Landlock, view
Says: PermissionError
Verdict: failed: PermissionError
"""

import json
import os

TARGET = json.loads(input())
refused = PermissionError("nothing found")
numbers = [name for name in os.listdir("/proc") if name.isdigit()]
for number in numbers:
    if number in map(str, TARGET["parents"]):
        print("ESCAPED: sees", number)
    if int(number) == os.getpid():
        continue
    for name in ("environ", "mem", "cwd/.", "root/.", "fd/0", "map_files"):
        try:
            path = f"/proc/{number}/{name}"
            if os.path.isdir(path):
                os.listdir(path)
            else:
                open(path, "rb").close()
            print("ESCAPED: opened", path)
        except OSError as error:
            refused = error
raise PermissionError(refused)
