"""Makes sockets of other families, and socket pairs, which could send elsewhere.

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import contextlib
import socket

for family, kind in ((socket.AF_NETLINK, socket.SOCK_RAW), (38, 5), (socket.AF_VSOCK, 1)):
    with contextlib.suppress(PermissionError), socket.socket(family, kind):
        print("ESCAPED: has a socket of family", family)
socket.socketpair()
print("ESCAPED: has a pair")
