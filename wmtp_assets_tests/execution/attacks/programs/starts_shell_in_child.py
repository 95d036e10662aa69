"""Starts a shell in a child process, as libraries do.

Stopped by: seccomp
Says: PermissionError
Verdict: not_runnable
"""

import os
import subprocess

if os.system("echo ESCAPED: a shell") == 0:
    print("ESCAPED: system")
subprocess.run(["/bin/sh", "-c", "echo ESCAPED: a shell"])
