"""Whether a program's text is Python 3, by `ast.parse` in a process of its own.

Parsing executes nothing, but there are texts that take a parser's stack, memory or time. So it is
done by a child that may be lost: it has limits of memory and of the processor's time, which a busy
machine does not change; one that dies or takes too long is replaced, and its text counts as none
that parses.
"""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import IO, Final, Self, cast

_SECONDS: Final = 10.0  # of the processor; a megabyte takes one
_PATIENCE: Final = 60  # times as long on the clock
_CHILD: Final = """
import ast, resource, signal, struct, sys, warnings
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
warnings.simplefilter("ignore")
signal.signal(signal.SIGPROF, signal.SIG_DFL)
source, answers, seconds = sys.stdin.buffer, sys.stdout.buffer, float(sys.argv[1])
while head := source.read(4):
    text = source.read(struct.unpack("<I", head)[0])
    signal.setitimer(signal.ITIMER_PROF, seconds)  # SIGPROF ends the process
    try:
        ast.parse(text.decode("utf-8", "surrogatepass"))
        answer = b"1"
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        answer = b"0"
    signal.setitimer(signal.ITIMER_PROF, 0)
    answers.write(answer)
    answers.flush()
"""


class Parser:
    """Says of texts whether they parse. A context manager, as it has a child."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        """`seconds` of the processor are what one text may take."""
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def parses(self, text: str) -> bool:
        """Whether `text` is a program of this interpreter's Python."""
        data = text.encode("utf-8", errors="surrogatepass")
        for _ in range(2):  # a child that dies of it twice did not die of something else
            answer = self._answer(struct.pack("<I", len(data)) + data)
            if answer:
                return answer == b"1"
        return False

    def _answer(self, message: bytes) -> bytes:
        """One byte; none where the child died, and no parse where it takes too long."""
        child = self._child or self._begin()
        source, answers = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
        try:
            source.write(message)
            source.flush()
        except OSError:
            self._end()
            return b""
        ready, _, _ = select.select([answers], [], [], self._seconds * _PATIENCE)
        answer = os.read(answers.fileno(), 1) if ready else b""
        if not answer:
            if ready:  # its output has ended, so it is ending by itself
                child.wait()
            self._end()
            if not ready or child.returncode == -signal.SIGPROF:
                return b"0"
        return answer

    def _begin(self) -> subprocess.Popen[bytes]:
        self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-I", "-S", "-c", _CHILD, str(self._seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
        )
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                with suppress(OSError):  # what was not sent is lost with it
                    stream.close()
