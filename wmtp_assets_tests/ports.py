"""Ports of 127.0.0.1 for what tests start.

A port that was only found free may be another program's a moment later: the system gives the next
one that asks any that nobody has.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port that nobody else is given while the block runs. Nothing listens there until a server
    does that sets SO_REUSEADDR, as servers do: Linux lets it have what is only bound, by a socket
    that sets it too."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        port = int(kept.getsockname()[1])
        if sys.platform != "linux":  # where a second socket would be refused
            kept.close()
        yield port
