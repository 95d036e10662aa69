"""Fork bomb: starts processes until no more can be started.

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import os
import time

for _ in range(20):
    if not os.fork():
        time.sleep(0.2)
        os._exit(0)
    print("ESCAPED: started a process")
