"""Opens a TCP connection to this machine.

Stopped by: seccomp, view (no network), Landlock from version 4
Says: PermissionError
Verdict: failed: PermissionError
"""

import json
import socket

TARGET = json.loads(input())
with socket.create_connection(("127.0.0.1", TARGET["tcp"]), timeout=0.5) as connection:
    connection.send(b"ESCAPED")
    print("ESCAPED: connected")
