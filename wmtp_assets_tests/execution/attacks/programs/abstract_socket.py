"""A socket that has a name and no path.

Stopped by: seccomp, network of its own, Landlock from version 6
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
