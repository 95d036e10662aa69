"""Reads the environment of the processes that started it.

Stopped by: Landlock, view
Says: PermissionError|FileNotFoundError
Verdict: failed: PermissionError or failed: FileNotFoundError
"""

import json
import os

TARGET = json.loads(input())
for pid in [os.getppid(), *TARGET["parents"]]:
    for name in ("environ", "cmdline", "maps"):
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                got = file.read()
            if TARGET["mark"].encode() in got or name != "cmdline":
                print("ESCAPED:", name, got)
        except OSError as error:
            refused = error
raise refused
