"""Truncates a file that it may only read, by opening it for reading.

Stopped by: seccomp, Landlock from version 3
Says: PermissionError|Read-only
Verdict: failed: PermissionError or failed: OSError: [Errno 30]
"""

import json
import os

TARGET = json.loads(input())
path = TARGET["readable"]
print(len(open(path).read()), "characters can be read, as they should")
for flags in (os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_TRUNC, os.O_RDWR):
    try:
        os.open(path, flags)
        print("ESCAPED: emptied", path)
    except OSError as error:
        refused = error
try:
    os.truncate(path, 0)
    print("ESCAPED: emptied", path)
except OSError as error:
    refused = error
raise refused
