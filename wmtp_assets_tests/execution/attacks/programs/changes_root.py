"""Changes its root, and leaves it by a folder that it has open.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import os

os.chroot(".")
print("ESCAPED: the call was made")
