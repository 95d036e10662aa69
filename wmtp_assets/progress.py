"""How far, how fast and how much longer: a bar on a terminal, else a line now and then.

All of this package's progress is shown here, by tqdm. A run writes lines into its log, and `wmtp`
on a terminal shows bars instead. What takes less than `_QUIET` seconds shows nothing.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, TextIO

from tqdm import tqdm

from wmtp_assets import interrupts
from wmtp_assets.errors import printable
from wmtp_assets.storage.preflight import gigabytes

_QUIET = 2.0  # seconds after which a bar is drawn
_LINE_EVERY = 10.0  # seconds between two lines about one item in a log
_NUMBERS = 70  # columns of a bar with its numbers; a name has what is left of the line
_MARGIN = 3  # columns left of a bar's line: a terminal writes ^C behind it
BYTES = "B"

_terminal: list[TextIO] = []
_drawn: list[BarProgress] = []  # what is on the screen
_over = False  # a signal ends the process: nothing is drawn any more
_screen_lock = threading.RLock()  # held while something is drawn
_PATIENCE = 0.5  # seconds that a signal waits for it: a terminal may have been stopped


class Progress(Protocol):
    """Receives what happens to one item (a file, a checkpoint, a split) at a time."""

    def begin(self, what: str, total: int, unit: str = BYTES) -> None:
        """`total` is the number of bytes, or of what `unit` names."""
        ...

    def at(self, count: int) -> None:
        """`count` of the total are done."""
        ...

    def note(self, text: str) -> None:
        """Something that a person should know: a resume, a retry, a dropped partial."""
        ...

    def end(self) -> None: ...


def use_terminal() -> None:
    """From now on bars are drawn on this process's standard error, if that is a terminal.

    Dagster points standard error elsewhere while steps run, so it is kept here.
    """
    if not _terminal and _takes_bars(sys.stderr):
        _terminal.append(os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8"))
        interrupts.clear_terminal_by(_clear)


def _takes_bars(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _clear() -> None:
    """Removes every bar, without tqdm's lock: the thread that a signal has interrupted may hold
    it."""
    global _over
    _over = True
    # What is being drawn now would follow the blank line; what comes later sees `_over`.
    if _screen_lock.acquire(timeout=_PATIENCE):
        _screen_lock.release()
    if not _drawn:
        return
    blank = f"\r{' ' * (_size(_terminal[0]).columns - 1)}\r"
    lines = len(_drawn)
    os.write(_terminal[0].fileno(), ("\n".join([blank] * lines) + "\x1b[A" * (lines - 1)).encode())


def _size(screen: TextIO) -> os.terminal_size:
    """COLUMNS and LINES, else the size of the standard output's terminal, else of `screen`."""
    own = os.terminal_size((80, 24))
    with suppress(OSError, ValueError):  # none
        own = os.get_terminal_size(screen.fileno())
    found = shutil.get_terminal_size(own)
    return os.terminal_size((found.columns or 80, found.lines or 24))


def _name(what: str) -> str:
    return printable(what).replace("\n", " ")


@contextmanager
def _drawing() -> Iterator[bool]:
    """For the block, nothing else is drawn; False where nothing is to be drawn any more. A
    terminal that is gone ends the block: what is under way goes on."""
    with _screen_lock, suppress(OSError):
        yield not _over


def say(text: str) -> bool:
    """Writes a line on the terminal that bars are drawn on, above them; False where none is."""
    for screen in _terminal:
        with _drawing() as allowed:
            if allowed:
                tqdm.write(text, file=screen)
        return True
    return False


def progress_for(log: Callable[[str], None] | None) -> Progress:
    """Bars on the terminal of `use_terminal`; else lines to `log`, when it is given; else a bar
    where standard error is a terminal, and lines to `logging` where it is none."""
    if _terminal:
        return BarProgress(_terminal[0], log)
    if log is not None:
        return LinesProgress(log)
    if _takes_bars(sys.stderr):
        return BarProgress(sys.stderr)
    return LinesProgress(logging.getLogger("wmtp_assets.progress").info)


@contextmanager
def following(
    what: str, total: int, log: Callable[[str], None] | None, unit: str = BYTES
) -> Iterator[Callable[[int], None]]:
    """For the block, the progress of one item: the function is called with how much is done."""
    progress = progress_for(log)
    progress.begin(what, total, unit)
    progress.at(0)
    try:
        yield progress.at
    finally:
        progress.end()


class _Rate:
    """How fast, and how long still, since an item was begun (or taken up again)."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        self.what = what
        self.total = total
        self.unit = unit
        self._first: tuple[float, int] | None = None

    def describe(self, count: int, now: float) -> str:
        if self._first is None:
            self._first = now, count  # what an earlier call left does not count as speed
        seconds = now - self._first[0]
        rate = (count - self._first[1]) / seconds if seconds > 0 else 0.0
        share = count / self.total if self.total else 1.0
        left = f"{_clock((self.total - count) / rate)} left" if rate > 0 else "time left unknown"
        if self.unit == BYTES:
            done, speed = (
                f"{gigabytes(count)} of {gigabytes(self.total)}",
                f"{rate / 1e6:,.1f} MB/s",
            )
        else:
            done, speed = f"{count:,} of {self.total:,} {self.unit}", f"{rate:,.0f} per second"
        return f"{share:4.0%}  {done}  {speed}  {left}"


class LinesProgress:
    """At most one line per item in ten seconds, and every note."""

    def __init__(
        self, log: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._clock = clock
        self._rate = _Rate("", 0, BYTES)
        self._last = clock()

    def begin(self, what: str, total: int, unit: str = BYTES) -> None:
        self._last = self._clock()
        self._rate = _Rate(_name(what), total, unit)

    def at(self, count: int) -> None:
        now, count = self._clock(), min(count, self._rate.total)
        line = self._rate.describe(count, now)
        if now - self._last >= _LINE_EVERY:
            self._last = now
            self._log(f"{self._rate.what}: {line.strip()}")

    def note(self, text: str) -> None:
        self._log(f"{self._rate.what}: {text}")

    def end(self) -> None:
        """A log needs no line for an end: the caller logs what came of it."""


class BarProgress:
    """tqdm's bar at the bottom of a terminal; the line is cleared at the end."""

    def __init__(
        self,
        screen: TextIO,
        log: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._screen = screen
        self._log = log
        self._clock = clock
        self._what = ""
        self._total = 0
        self._unit = BYTES
        self._begun = clock()
        self._first: int | None = None
        self._bar: tqdm | None = None

    def begin(self, what: str, total: int, unit: str = BYTES) -> None:
        self._what, self._total, self._unit = _name(what), total, unit
        self._begun, self._first = self._clock(), None

    def at(self, count: int) -> None:
        count = min(count, self._total)
        if self._first is None:
            self._first = count  # what an earlier call left does not count as speed
        if self._bar is None and self._clock() - self._begun < _QUIET:
            return
        with _drawing() as allowed:
            if allowed:
                self._draw(self._first, count)

    def _draw(self, first: int, count: int) -> None:
        if self._bar is None:
            if self not in _drawn:  # a terminal that was gone has refused it before
                _drawn.append(self)
            self._bar = self._new_bar(first)
            self._bar.update(count - self._bar.n)
            self._bar.refresh()
        self._bar.ncols = max(1, _size(self._screen).columns - _MARGIN)
        self._bar.update(count - self._bar.n)
        if count == self._total:
            self._bar.refresh()

    def _new_bar(self, first: int) -> tqdm:
        size = _size(self._screen)
        room = max(0, size.columns - _MARGIN - _NUMBERS)
        bar = tqdm(
            desc=self._what[-room:] if room else "",
            initial=first,
            total=self._total,
            file=self._screen,
            ncols=max(1, size.columns - _MARGIN),
            miniters=1,  # else a thread of tqdm draws what stands still, at a moment of its own
            nrows=size.lines,  # tqdm draws nothing on a terminal that states no height
            leave=False,
            disable=False,  # TQDM_DISABLE, which `wmtp` sets, is for bars of libraries
            unit=BYTES if self._unit == BYTES else f" {self._unit}",
            unit_scale=True,
        )
        bar.start_t -= self._clock() - self._begun  # it was at work before it was drawn
        return bar

    def note(self, text: str) -> None:
        line = f"{self._what}: {text}"
        if self._log is not None:
            self._log(line)
        else:
            with _drawing() as allowed:
                if allowed:
                    tqdm.write(line, file=self._screen)

    def end(self) -> None:
        with _drawing() as allowed:
            if allowed and self in _drawn:
                _drawn.remove(self)
            if allowed and self._bar is not None:
                self._bar.close()
        self._bar = None


def _clock(seconds: float) -> str:
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
