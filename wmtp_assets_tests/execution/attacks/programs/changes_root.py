"""Changes its root, and leaves it by a folder that it has open.

Stopped by: seccomp
Says: SIGSYS
"""

import os

os.chroot(".")
print("ESCAPED: the call was made")
