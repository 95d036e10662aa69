"""Sends a UDP packet to this machine.

Stopped by: seccomp, view (no network)
Says: PermissionError
Verdict: failed: PermissionError
"""

import json
import socket

TARGET = json.loads(input())
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
    sender.sendto(b"ESCAPED", ("127.0.0.1", TARGET["udp"]))
    print("ESCAPED: sent a packet")
