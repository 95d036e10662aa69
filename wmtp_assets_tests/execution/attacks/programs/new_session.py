"""Leaves the session and process group through which it would be killed.

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import os

try:
    os.setpgid(0, os.getpgid(os.getppid()))
    print("ESCAPED: joined its parent's group")
except OSError as error:
    print("refused:", error)
os.setsid()
print("ESCAPED: has a session of its own")
