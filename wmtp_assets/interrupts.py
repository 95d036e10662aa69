"""How a command ends on a signal: within seconds, with the status that a shell expects.

What is stored survives the death of a process at any moment, so a command that is interrupted does
not unwind: libraries' threads, C code and Dagster's own handling of signals could each delay that
or turn it into something else. The command runs in a thread of its own; the main thread only waits,
and on a signal writes one line, runs what was registered by `before_ending`, ends the processes
that were started, and exits.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn, TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE_SECONDS = 2.5  # for what is registered; the whole must stay under five

_before_ending: list[Callable[[], None]] = []
_clearing: list[Callable[[], None]] = []
_terminal: list[int] = []
_starts_over: bool | None = None  # whether a repetition of the command that runs has nothing to
# continue; None before a command is known


def install() -> None:
    """From now on each of `SIGNALS` ends this process with status 128 + its number.

    To be called in the main thread, before anything slow is imported. SIGHUP stays ignored under
    `nohup`.
    """
    if not _terminal:
        # Dagster points standard error elsewhere while steps run.
        with contextlib.suppress(OSError):
            _terminal.append(os.dup(2))
    for number in SIGNALS:
        if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue
        signal.signal(number, _end)


def command_starts_over(starts_over: bool) -> None:
    """Says of the command that runs now whether it keeps nothing of its work when it is ended."""
    global _starts_over
    _starts_over = starts_over


def words(signal_name: str) -> str:
    """What is written to the terminal when a signal ends the command, without the line's end."""
    then = {
        None: "nothing was done yet.",
        True: "it keeps nothing of its work, so the same command starts over.",
        False: "the same command continues where this one ended.",
    }[_starts_over]
    return f"wmtp: interrupted by {signal_name}; {then}"


def clear_terminal_by(action: Callable[[], None]) -> None:
    """From now on a signal calls `action` before its line is written: it must not wait."""
    _clearing.append(action)


@contextlib.contextmanager
def before_ending(action: Callable[[], None]) -> Iterator[None]:
    """While the block runs, a signal calls `action`, in a thread, and waits for it a little."""
    _before_ending.append(action)
    try:
        yield
    finally:
        _before_ending.remove(action)


def in_a_thread(work: Callable[[], T]) -> T:
    """Calls `work` in a thread, so that this one is free to handle signals; its result, or what it
    raised."""
    results: list[T] = []
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            results.append(work())
        except BaseException as error:  # handed on below
            errors.append(error)

    thread = threading.Thread(target=attempt, name="command", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(1)
    if errors:
        raise errors[0]
    return results[0]


def leave(status: int) -> NoReturn:
    """Ends the process, without tearing down what threads that still run are using: that has
    crashed in C code."""
    with contextlib.suppress(OSError):  # a closed pipe, a full disk: reported already
        sys.stdout.flush()
        sys.stderr.flush()
    atexit._run_exitfuncs()
    os._exit(status)


def _end(number: int, frame: FrameType | None) -> None:
    """The handler of the first signal; further ones are ignored, since this ends soon."""
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
    for action in _clearing:
        with contextlib.suppress(Exception):
            action()
    line = f"{words(signal.Signals(number).name)}\n"
    with contextlib.suppress(OSError, IndexError):
        os.write(_terminal[0], line.encode())
    threads = [threading.Thread(target=action, daemon=True) for action in list(_before_ending)]
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with contextlib.suppress(RuntimeError):  # too many threads: what is registered must not matter
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0, deadline - time.monotonic()))
    _end_descendants()
    os._exit(128 + number)


def _end_descendants() -> None:
    """Kills every process that this one started, and theirs.

    Other threads may start one meanwhile: this looks again until it finds none, a second at most.
    """
    deadline = time.monotonic() + 1
    while (living := descendants(os.getpid())) and time.monotonic() < deadline:
        for pid in living:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def descendants(root: int) -> list[int]:
    """The living processes below `root`, as /proc lists them; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name, in parentheses, may hold anything; state and parent come after it.
            state, parent, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
            if state not in "ZX":
                children.setdefault(int(parent), []).append(int(folder.name))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found
