"""The Hub of one repository with one file, as raw answers that a test can change."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from wmtp_assets_tests.hub.raw import Part, Request, answer

COMMIT = "c0ffee" * 6 + "beef"
PATH = "config.json"
DATA = b'{"dim": 64}' * 300


def blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def listing() -> dict[str, Any]:
    return {
        "id": "org/name",
        "sha": COMMIT,
        "siblings": [{"rfilename": PATH, "size": len(DATA), "blobId": blob_id(DATA)}],
    }


@dataclass
class SmallHub:
    """`api`, `head` and `get` answer the three questions; each may be replaced.

    `change_*` change the headers of an answer that is otherwise right (`-` removes one).
    """

    body: dict[str, Any] = field(default_factory=listing)
    change_head: dict[str, str] = field(default_factory=dict)
    change_get: dict[str, str] = field(default_factory=dict)
    api: Callable[[Request], Iterable[Part]] | None = None
    head: Callable[[Request], Iterable[Part]] | None = None
    get: Callable[[Request], Iterable[Part]] | None = None

    def __call__(self, request: Request) -> Iterable[Part]:
        if request.path.startswith("/api/"):
            return (self.api or self._api)(request)
        if request.method == "HEAD":
            return (self.head or self._head)(request)
        return (self.get or self._get)(request)

    def _api(self, request: Request) -> Iterable[Part]:
        return [answer("200 OK", {"content-type": "application/json"}, self.raw())]

    def raw(self) -> bytes:
        return json.dumps(self.body).encode()

    def _head(self, request: Request) -> Iterable[Part]:
        headers = self.headers() | {"content-length": str(len(DATA))} | self.change_head
        return [answer("200 OK", headers)]

    def headers(self) -> dict[str, str]:
        return {"x-repo-commit": COMMIT, "etag": f'"{blob_id(DATA)}"'}

    def _get(self, request: Request) -> Iterable[Part]:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        headers = self.headers()
        if asked is None:
            return [answer("200 OK", headers | self.change_get, DATA)]
        start = int(asked[1])
        stop = int(asked[2]) + 1 if asked[2] else len(DATA)
        headers["content-range"] = f"bytes {start}-{stop - 1}/{len(DATA)}"
        return [answer("206 Partial Content", headers | self.change_get, DATA[start:stop])]


def compressed(body: bytes, headers: dict[str, str] | None = None) -> bytes:
    return answer("200 OK", {"content-encoding": "gzip"} | (headers or {}), gzip.compress(body))
