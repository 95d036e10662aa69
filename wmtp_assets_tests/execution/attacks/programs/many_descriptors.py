r"""Opens files until there are no file descriptors left.

Stopped by: limits (open files)
Says: OSError: \[Errno 24\]
Verdict: failed: OSError: [Errno 24]
"""

import os

opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(200)]
print("ESCAPED: has", len(opened), "files open")
