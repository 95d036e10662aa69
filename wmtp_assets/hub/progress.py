"""What a person sees while bytes arrive: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Callable
from typing import Protocol, TextIO

from tqdm import tqdm

from wmtp_assets.storage.preflight import gigabytes

_LINE_EVERY = 10.0  # seconds between two lines about one file in a log
_NUMBERS = 70  # columns of a bar with its numbers; a name has what is left of the line


class Progress(Protocol):
    """Receives what happens to one file at a time."""

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
    """At most one line per file in ten seconds, and every note."""

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
        """A log needs no line for an end: the caller logs what was fetched."""


class BarProgress:
    """tqdm's bar at the bottom of a terminal; the line is cleared at the end."""

    def __init__(self, screen: TextIO) -> None:
        self._screen = screen
        self._path = ""
        self._size = 0
        self._bar: tqdm | None = None

    def begin(self, path: str, size: int) -> None:
        self._path, self._size = path, size

    def at(self, count: int) -> None:
        size = shutil.get_terminal_size()
        columns = size.columns - 1
        if self._bar is None:
            room = max(0, columns - _NUMBERS)
            self._bar = tqdm(
                desc=self._path[-room:] if room else "",
                initial=count,  # what an earlier call left does not count as speed
                total=self._size,
                file=self._screen,
                ncols=columns,
                nrows=size.lines,  # tqdm draws nothing on a terminal that states no height
                leave=False,
                disable=False,  # TQDM_DISABLE, which `wmtp` sets, is for bars of libraries
                unit="B",
                unit_scale=True,
            )
        self._bar.ncols = columns
        self._bar.update(count - self._bar.n)
        if count == self._size:
            self._bar.refresh()

    def note(self, text: str) -> None:
        tqdm.write(f"{self._path}: {text}", file=self._screen)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _clock(seconds: float) -> str:
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
