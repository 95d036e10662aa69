"""Leaves a grandchild process running in a session of its own after everything else has ended.

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import os
import time

if not os.fork():
    os.setsid()
    if not os.fork():
        time.sleep(20)
    os._exit(0)
print("ESCAPED: left a process behind")
