"""A child process that parses for its parent, and may be lost: a line in, a line out.

Parsing executes nothing, but there are texts that take a parser's stack, memory or time. A child
that dies of one, or does not answer in time, is ended; the next question begins another. What a
text may take is time of the processor, so that a busy machine changes no answer: the command gets
it as its last argument, and sets a timer (ITIMER_PROF) for each question.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Final, Self, cast

_CHUNK: Final = 1 << 16
_PATIENCE: Final = 60  # times as long on the clock


class Child:
    """A process that is started by the first question. A context; not for several threads at once.

    `seconds` of the processor are what an answer may take.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], seconds: float
    ) -> None:
        self.seconds = seconds
        self._command = command
        self._environment = environment
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def ask(self, question: bytes) -> bytes:
        """The answer to a question, without its line end; neither may hold one.

        Raises EOFError where the child ended before it had answered, or TimeoutError; after both
        there is no child.
        """
        process = self.process or self._begin()
        source = cast("IO[bytes]", process.stdin)
        try:
            source.write(question + b"\n")
            source.flush()
            return self._answer(process)
        except (OSError, EOFError) as error:
            self.end()
            if isinstance(error, TimeoutError | EOFError):
                raise
            raise EOFError from error

    def _answer(self, process: subprocess.Popen[bytes]) -> bytes:
        descriptor = cast("IO[bytes]", process.stdout).fileno()
        answers = select.poll()  # select.select knows no file beyond the 1,024th
        answers.register(descriptor, select.POLLIN)
        until = time.monotonic() + _PATIENCE * self.seconds
        parts: list[bytes] = []
        while not parts or not parts[-1].endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0 or not answers.poll(1000 * left):
                raise TimeoutError
            part = os.read(descriptor, _CHUNK)
            if not part:  # it is ending by itself
                raise TimeoutError if process.wait() == -signal.SIGPROF else EOFError
            parts.append(part)
        return b"".join(parts)[:-1]

    def _begin(self) -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and program
            [*self._command, str(self.seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(self._environment),
        )
        return self.process

    def end(self) -> None:
        """Ends the child, if there is one."""
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # what it was sent last was never read
                cast("IO[bytes]", pipe).close()
