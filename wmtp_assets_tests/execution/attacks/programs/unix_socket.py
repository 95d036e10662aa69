"""Connects to a Unix socket that has a path.

Stopped by: seccomp, view
Says: PermissionError
Verdict: failed: PermissionError
"""

import json
import socket

TARGET = json.loads(input())
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(TARGET["unix"])
    connection.send(b"ESCAPED")
    print("ESCAPED: connected")
