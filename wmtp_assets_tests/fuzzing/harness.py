"""Runs a fuzzer for a given time, with bounds on what one input may take.

WMTP_FUZZ_SECONDS   seconds per fuzzer; 2 by default, 300 in `make fuzz`
WMTP_FUZZ_SEED      the seed, 1 by default; SEED:CASE runs that one input alone
"""

from __future__ import annotations

import faulthandler
import os
import random
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from wmtp_assets.errors import WmtpError

SECONDS_PER_INPUT = 20.0  # far above what any takes; a hang is what this is for
BYTES_PER_INPUT = 512 << 20
LEAST = 20


class FuzzError(AssertionError):
    """An input that was neither read correctly nor refused with an error of this package."""


class _TooSlow(BaseException):
    """Raised out of an input that took more than its time; no reader may swallow it."""


@dataclass
class Outcomes:
    """What became of the inputs: how many were read, and how many refused with which problem."""

    read: int = 0
    refused: int = 0
    problems: dict[str, int] = field(default_factory=dict)


def fuzz(
    attempt: Callable[[random.Random], None],
    allowed: tuple[type[BaseException], ...] = (WmtpError,),
    seconds_per_input: float = SECONDS_PER_INPUT,
    bytes_per_input: int = BYTES_PER_INPUT,
) -> Outcomes:
    """Call `attempt` with one random generator per input until the time is over, and for at least
    `LEAST` inputs.

    `attempt` makes an input from its generator alone, reads it, and compares what was read with an
    independent reader (`assert`). An exception of `allowed` counts as refused. FuzzError for any
    other one, for an input that takes more than `seconds_per_input`, and for one that makes the
    process grow by more than `bytes_per_input`; it names the environment that repeats the input.
    """
    seed, _, only = os.environ.get("WMTP_FUZZ_SEED", "1").partition(":")
    seconds = float(os.environ.get("WMTP_FUZZ_SECONDS", "2"))
    print(f"WMTP_FUZZ_SEED={seed} WMTP_FUZZ_SECONDS={seconds:g}")  # pytest shows it on failure
    outcomes = Outcomes()
    try:
        end = time.monotonic() + seconds
        case = int(only or 0)
        while True:
            # A hang inside native code never returns to Python's signal handler: this ends the
            # process, long after a handler that a busy machine has wait.
            faulthandler.dump_traceback_later(10 * seconds_per_input + 60, exit=True)
            _one(attempt, allowed, seed, case, outcomes, seconds_per_input, bytes_per_input)
            case += 1
            if only or (case >= LEAST and time.monotonic() > end):
                return outcomes
    finally:
        faulthandler.cancel_dump_traceback_later()


def _one(
    attempt: Callable[[random.Random], None],
    allowed: tuple[type[BaseException], ...],
    seed: str,
    case: int,
    outcomes: Outcomes,
    seconds: float,
    growth: int,
) -> None:
    again = f"repeat with WMTP_FUZZ_SEED={seed}:{case}"
    try:
        with _deadline(seconds), _bounded_memory(growth):
            attempt(random.Random(f"{seed}:{case}"))
    except allowed as error:
        outcomes.refused += 1
        if not all(c.isprintable() or c == "\n" for c in str(error)):
            raise FuzzError(
                f"a message that rewrites a terminal: {str(error)!a}; {again}"
            ) from error
        problem = getattr(error, "problem", str(error))[:60]
        outcomes.problems[problem] = outcomes.problems.get(problem, 0) + 1
    except _TooSlow:
        raise FuzzError(f"one input took more than {seconds:g} s; {again}") from None
    except Exception as error:
        raise FuzzError(f"{type(error).__name__}: {str(error)[:500]}; {again}") from error
    else:
        outcomes.read += 1


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("a fuzzer runs in the main thread, where signals arrive")

    def stop(number: int, frame: FrameType | None) -> None:
        raise _TooSlow

    # The processor's time: on a loaded machine a quick input takes long. What waits for ever uses
    # none, and gets ten times as much of the clock's.
    timers = {
        signal.SIGPROF: (signal.ITIMER_PROF, seconds),
        signal.SIGALRM: (signal.ITIMER_REAL, 10 * seconds),
    }
    before = {number: signal.signal(number, stop) for number in timers}
    for timer, limit in timers.values():
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for number, (timer, _) in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


@contextmanager
def _bounded_memory(growth: int) -> Iterator[None]:
    """AssertionError where the resident size has peaked `growth` bytes above where it was."""
    if not sys.platform.startswith("linux"):
        yield
        return
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM to what is resident now
    before = _peak()
    yield
    taken = _peak() - before
    assert taken <= growth, f"one input took {taken >> 20} MiB of memory"


def _peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
