"""Makes device files and named pipes in its folder.

Stopped by: seccomp, Landlock
Says: PermissionError
Verdict: failed: PermissionError
"""

import os
import stat

for name, do in {
    "device": lambda: os.mknod("zero", stat.S_IFCHR | 0o666, os.makedev(1, 5)),
    "block": lambda: os.mknod("disk", stat.S_IFBLK | 0o666, os.makedev(254, 0)),
    "pipe": lambda: os.mkfifo("pipe"),
}.items():
    try:
        do()
        print("ESCAPED: made a", name)
    except OSError as error:
        refused = error
raise refused
