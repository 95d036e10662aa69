"""Replaces itself by a shell.

Stopped by: seccomp, Landlock, view
Says: SIGSYS
Verdict: failed: ended by a system call that programs may not make
"""

import os

os.execv("/bin/sh", ["sh", "-c", "echo ESCAPED: a shell"])
