"""A webhook on loopback: keeps what is posted, and answers as it is told, 200 after that."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "T0CANARY-canary-of-the-webhook-4711"  # noqa: S105 - of no webhook


@dataclass
class Reply:
    """An answer: status, headers, body, and seconds to wait before it."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    after: float = 0.0


@dataclass
class Receiver:
    """`posted` are the bodies, `replies` the answers still to give."""

    url: str = ""
    posted: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)

    def environment(self, kind: str = "slack") -> dict[str, str]:
        return {"WMTP_WEBHOOK_URL": self.url, "WMTP_WEBHOOK_KIND": kind}

    @property
    def texts(self) -> list[str]:
        """The texts for Slack's notifications, in order."""
        return [str(self.value(index)["text"]) for index in range(len(self.posted))]

    def value(self, index: int = -1) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.posted[index])
        return value


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            receiver.headers.append({k.lower(): v for k, v in self.headers.items()})
            receiver.posted.append(self.rfile.read(length))
            reply = receiver.replies.pop(0) if receiver.replies else Reply()
            time.sleep(reply.after)
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)
            except OSError:
                pass  # the other side did not wait

        def do_GET(self) -> None:
            raise AssertionError("a redirect was followed")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/services/{SECRET}?sig={SECRET}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
