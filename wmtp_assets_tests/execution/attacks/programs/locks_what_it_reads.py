"""Locks a file that others need.

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import fcntl
import json

TARGET = json.loads(input())
with open(TARGET["readable"]) as file:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("ESCAPED: locked it")
