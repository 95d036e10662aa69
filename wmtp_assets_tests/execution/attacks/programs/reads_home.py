"""Reads a file of the person who runs it, whose permissions allow it to everybody.

Stopped by: Landlock, view
Says: PermissionError|FileNotFoundError
Verdict: failed: PermissionError or failed: FileNotFoundError
"""

import json

TARGET = json.loads(input())
with open(TARGET["secret"]) as file:
    print("ESCAPED:", file.read())
