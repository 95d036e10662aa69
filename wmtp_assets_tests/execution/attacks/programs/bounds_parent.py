"""Gives its parent limits with which it could not go on.

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import os
import resource

resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (100, 100))
print("ESCAPED: bounded its parent")
