"""Becomes a shell.

Stopped by: seccomp, Landlock, view
Says: SIGSYS
"""

import os

os.execv("/bin/sh", ["sh", "-c", "echo ESCAPED: a shell"])
