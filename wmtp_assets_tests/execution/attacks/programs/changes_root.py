"""Calls chroot, from which an open folder would lead out.

Stopped by: seccomp
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import os

os.chroot(".")
print("ESCAPED: the call was made")
