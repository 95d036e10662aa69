"""What a person sees while bytes arrive: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from wmtp_assets.storage.preflight import gigabytes

_LINE_EVERY = 10.0  # seconds between two lines about one file in a log
_DRAW_EVERY = 0.2  # seconds between two drawings of a bar


class Progress(Protocol):
    """What is told about one file at a time."""

    def begin(self, path: str, size: int) -> None: ...

    def at(self, count: int) -> None:
        """`count` bytes of the file are here."""
        ...

    def note(self, text: str) -> None:
        """Something that a person should know: a resume, a retry, a dropped partial."""
        ...

    def end(self) -> None: ...


def progress_for(log: Callable[[str], None] | None) -> Progress:
    """Lines to `log` when it is given; else a bar on a terminal; else lines to `logging`."""
    if log is not None:
        return LinesProgress(log)
    if sys.stderr.isatty():
        return BarProgress(sys.stderr)
    return LinesProgress(logging.getLogger("wmtp_assets.hub").info)


class _Rate:
    """How fast, and how long still, since a file was begun (or taken up again)."""

    def __init__(self, path: str, size: int) -> None:
        self.path = path
        self.size = size
        self._first: tuple[float, int] | None = None

    def describe(self, count: int, now: float) -> str:
        if self._first is None:
            self._first = now, count  # what an earlier call left does not count as speed
        seconds = now - self._first[0]
        rate = (count - self._first[1]) / seconds if seconds > 0 else 0.0
        share = count / self.size if self.size else 1.0
        left = f"{_clock((self.size - count) / rate)} left" if rate > 0 else "time left unknown"
        return (
            f"{share:4.0%}  {gigabytes(count)} of {gigabytes(self.size)}  "
            f"{rate / 1e6:,.1f} MB/s  {left}"
        )


class LinesProgress:
    """At most one line in ten seconds a file, and every note."""

    def __init__(
        self, log: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._clock = clock
        self._rate = _Rate("", 0)
        self._last = clock()

    def begin(self, path: str, size: int) -> None:
        self._last = self._clock()
        self._rate = _Rate(path, size)

    def at(self, count: int) -> None:
        now = self._clock()
        line = self._rate.describe(count, now)
        if now - self._last >= _LINE_EVERY:
            self._last = now
            self._log(f"{self._rate.path}: {line.strip()}")

    def note(self, text: str) -> None:
        self._log(f"{self._rate.path}: {text}")

    def end(self) -> None:
        """A log needs no line for an end: whoever called says what was fetched."""


class BarProgress:
    """One line at the bottom of a terminal, drawn over itself."""

    def __init__(self, screen: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen = screen
        self._clock = clock
        self._rate = _Rate("", 0)
        self._last = 0.0

    def begin(self, path: str, size: int) -> None:
        self._rate = _Rate(path, size)
        self._last = 0.0

    def at(self, count: int) -> None:
        now = self._clock()
        text = self._rate.describe(count, now)
        if now - self._last < _DRAW_EVERY and count < self._rate.size:
            return
        self._last = now
        columns = shutil.get_terminal_size().columns - 1
        room = max(0, columns - len(text) - 15)
        name = (
            self._rate.path
            if len(self._rate.path) <= room
            else "..." + _tail(self._rate.path, room - 3)
        )
        done = int(10 * count / self._rate.size) if self._rate.size else 10
        line = f"{name:<{room}} [{'#' * done}{'.' * (10 - done)}] {text}"
        self._screen.write(f"\r\x1b[2K{line[:columns]}")
        self._screen.flush()

    def note(self, text: str) -> None:
        self._screen.write(f"\r\x1b[2K{self._rate.path}: {text}\n")
        self._screen.flush()

    def end(self) -> None:
        self._screen.write("\r\x1b[2K")
        self._screen.flush()


def _tail(text: str, length: int) -> str:
    return text[-length:] if length > 0 else ""


def _clock(seconds: float) -> str:
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
