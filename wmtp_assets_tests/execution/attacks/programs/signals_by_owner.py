"""Makes its parent the owner of a pipe, so that the parent gets a signal whenever there is data to
read.

Stopped by: seccomp, Landlock from version 6
Says: PermissionError
Verdict: failed: PermissionError
"""

import fcntl
import os
import signal

reading, writing = os.pipe()
F_SETSIG = 10
fcntl.fcntl(reading, fcntl.F_SETOWN, os.getppid())
fcntl.fcntl(reading, F_SETSIG, signal.SIGUSR1)
fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC)
os.write(writing, b"x")
print("ESCAPED: made its parent an owner")
