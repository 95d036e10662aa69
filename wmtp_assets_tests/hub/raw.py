"""A server that answers with exactly the bytes that a test gives it, at the pace that it gives.

For what a well-behaved server library would refuse to send.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Part = bytes | float  # bytes to send, or seconds to wait
Handler = Callable[["Request"], Iterable[Part]]


@dataclass(frozen=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    port: int

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass
class RawServer:
    port: int
    scheme: str = "http"
    seen: list[Request] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


@contextmanager
def raw_server(handler: Handler, context: ssl.SSLContext | None = None) -> Iterator[RawServer]:
    """`handler` is called once per request; the connection is closed after its answer."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    listener.settimeout(0.1)
    server = RawServer(listener.getsockname()[1], "https" if context else "http")
    stop = threading.Event()

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            connection.settimeout(300)
            stream = context.wrap_socket(connection, server_side=True) if context else connection
            head = b""
            while b"\r\n\r\n" not in head:
                piece = stream.recv(65536)
                if not piece:
                    return
                head += piece
            first, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
            method, target, _ = first.split(" ", 2)
            pairs = (line.partition(":") for line in lines)
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            request = Request(method, target, headers, server.port)
            server.seen.append(request)
            for part in handler(request):
                if stop.is_set():
                    return
                if isinstance(part, bytes):
                    stream.sendall(part)
                else:
                    time.sleep(part)
            stream.close()

    def accept() -> None:
        while not stop.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        thread.join()
        listener.close()


@contextmanager
def nobody() -> Iterator[int]:
    """A port that refuses connections and that no other program is given during the block."""
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def answer(status: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """A complete answer; Content-Length is the body's unless `headers` says otherwise."""
    every = {"content-length": str(len(body)), "connection": "close"} | headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in every.items() if value != "-")
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1") + body
