"""Listens on a TCP port.

Stopped by: seccomp, view (no network), Landlock from version 4
Says: PermissionError
Verdict: failed: PermissionError
"""

import socket

with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print("ESCAPED: listens")
