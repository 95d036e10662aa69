"""Makes a hard link in its own folder to a file outside.

Stopped by: seccomp, Landlock, view
Says: PermissionError
Verdict: failed: PermissionError
"""

import json
import os

TARGET = json.loads(input())
os.link(TARGET["precious"], "name")
print("ESCAPED: has a name of its own for it")
