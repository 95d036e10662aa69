"""Types a command into the terminal of the user who started it.

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import fcntl

TIOCSTI = 0x5412
fcntl.ioctl(0, TIOCSTI, b"x")
print("ESCAPED: typed")
