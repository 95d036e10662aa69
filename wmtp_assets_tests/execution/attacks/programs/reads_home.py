"""Reads a world-readable file of the user who runs it.

Stopped by: Landlock, view
Says: PermissionError|FileNotFoundError
Verdict: failed: PermissionError or failed: FileNotFoundError
"""

import json

TARGET = json.loads(input())
with open(TARGET["secret"]) as file:
    print("ESCAPED:", file.read())
