"""Writes into the memory of its parent.

Stopped by: Landlock, view
Says: PermissionError|FileNotFoundError
Verdict: failed: PermissionError or failed: FileNotFoundError
"""

import os

with open(f"/proc/{os.getppid()}/mem", "r+b"):
    print("ESCAPED: opened its parent's memory")
