"""Changes times, permissions, owner and attributes of files that it may read, which Landlock
allows.

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import json
import os

TARGET = json.loads(input())
for path in (TARGET["readable"], TARGET["precious"], "."):
    for name, do in {
        "times": lambda path: os.utime(path, (0, 0)),
        "permissions": lambda path: os.chmod(path, 0o777),
        "owner": lambda path: os.chown(path, os.getuid(), os.getgid()),
        "attributes": lambda path: os.setxattr(path, "user.left", b"behind"),
    }.items():
        try:
            do(path)
            print("ESCAPED: changed", name, "of", path)
        except OSError as error:
            refused = error
raise PermissionError(refused)
