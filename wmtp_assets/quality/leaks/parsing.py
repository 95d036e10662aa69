"""Programs parsed in another process, which may crash or be killed without anything lost but the
one text that it was reading."""

from __future__ import annotations

import json
import os
import sys
from collections import OrderedDict
from typing import Final, Self

import xxhash

from wmtp_assets.quality.child import Child
from wmtp_assets.quality.leaks.trees import MOST_BYTES, Program

_SECONDS: Final = 10.0  # of the processor, for one text, which takes milliseconds
_KEPT: Final = 4096  # answers


class Parser:
    """Parses texts. To be used as a context; not by several threads at once."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "wmtp_assets.quality.leaks.parser"]
        # The package may be importable only because the caller changed sys.path.
        path = os.pathsep.join(filter(None, sys.path))
        self.child = Child(command, {**os.environ, "PYTHONPATH": path}, _SECONDS)
        self._known: OrderedDict[bytes, Program | None] = OrderedDict()
        self.not_parsed: set[str] = set()
        """Digests of the texts at which the process died or did not answer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.child.end()

    def program(self, text: str) -> Program | None:
        """As `trees.read_program`; None also where that crashes."""
        if len(text) > MOST_BYTES:
            return None
        key = xxhash.xxh3_128_digest(text.encode(errors="surrogatepass"))
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        found = self._known[key] = self._ask(text, key)
        if len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return found

    def _ask(self, text: str, key: bytes) -> Program | None:
        try:
            answer = self.child.ask(json.dumps(text).encode())
        except (EOFError, TimeoutError):
            self.not_parsed.add(key.hex())
            return None
        document = json.loads(answer)
        return None if document is None else Program.from_document(document)
