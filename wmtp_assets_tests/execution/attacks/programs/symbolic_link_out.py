"""Follows a symbolic link from its own folder to a file outside.

Stopped by: seccomp, Landlock, view
Says: PermissionError
Verdict: failed: PermissionError
"""

import json
import os

TARGET = json.loads(input())
os.symlink(TARGET["secret"], "link")
print("made a link")
with open("link") as file:
    print("ESCAPED:", file.read())
