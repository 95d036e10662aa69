"""Programs parsed in another process, which may crash or be killed without anything lost but the
one text that it was reading."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections import OrderedDict
from contextlib import suppress
from typing import IO, Final, Self, cast

import xxhash

from wmtp_assets.quality.leaks.trees import MOST_BYTES, Program

_SECONDS: Final = 60.0  # for one text, which takes milliseconds; more only where it never ends
_KEPT: Final = 4096  # answers


class Parser:
    """Parses texts. To be used as a context; not by several threads at once."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._known: OrderedDict[bytes, Program | None] = OrderedDict()
        self.not_parsed: set[str] = set()
        """Digests of the texts at which the process died or did not answer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

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
        process = self._process or self._begin()
        source = cast("IO[bytes]", process.stdin)
        try:
            source.write(json.dumps(text).encode() + b"\n")
            source.flush()
        except OSError:
            answer = b""
        else:
            answer = self._answer(process)
        if not answer.endswith(b"\n"):
            self.not_parsed.add(key.hex())
            self._end()
            return None
        document = json.loads(answer)
        return None if document is None else Program.from_document(document)

    def _answer(self, process: subprocess.Popen[bytes]) -> bytes:
        """The line that it writes; less where it dies before the line ends, or takes too long."""
        descriptor = cast("IO[bytes]", process.stdout).fileno()
        answers = select.poll()  # select.select knows no file beyond the 1,024th
        answers.register(descriptor, select.POLLIN)
        until = time.monotonic() + _SECONDS
        parts: list[bytes] = []
        while not parts or not parts[-1].endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0 or not answers.poll(1000 * left):
                break
            part = os.read(descriptor, 1 << 16)
            if not part:
                break
            parts.append(part)
        return b"".join(parts)

    def _begin(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "wmtp_assets.quality.leaks.parser"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={
                **os.environ,
                # The package may be importable only because the caller changed sys.path.
                "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            },
        )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # what it was sent last was never read
                cast("IO[bytes]", pipe).close()
