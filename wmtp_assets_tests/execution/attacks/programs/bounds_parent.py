"""Sets resource limits on its parent so low that the parent cannot work.

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import os
import resource

resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (100, 100))
print("ESCAPED: bounded its parent")
