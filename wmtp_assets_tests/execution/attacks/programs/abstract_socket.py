"""Connects to an abstract Unix socket, which has a name but no path.

Stopped by: seccomp, view (no network), Landlock from version 6
Says: PermissionError
Verdict: failed: PermissionError
"""

import json
import socket

TARGET = json.loads(input())
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect("\0" + TARGET["abstract"])
    connection.send(b"ESCAPED")
    print("ESCAPED: connected")
