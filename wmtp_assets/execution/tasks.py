"""What is judged, and what is said of it: plain values, without a process."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import metadata
from typing import Final

from wmtp_assets.errors import printable
from wmtp_assets.execution.limits import Limits

HARNESS = 2
"""The version of what decides a verdict here; verdicts of another one are not reused."""
_FUNCTIONS: Final = 3  # as HARNESS, of function tasks alone
REASON_BYTES: Final = 1000
PYTHON_2: Final = 1
"""The number of Python 2 among the languages of CodeContests."""


class Verdict(StrEnum):
    """What was found out about a solution."""

    PASSED = "passed"
    FAILED = "failed"
    TIME = "time"
    MEMORY = "memory"
    NOT_RUNNABLE = "not_runnable"


class Compare(StrEnum):
    """How an output is compared; `comparison.same_answer` has the rules."""

    TOKENS = "tokens"
    CASELESS = "caseless"
    TEXT = "text"


@dataclass(frozen=True)
class Judged:
    """The verdict on a task, and why.

    `reason` is printable and short, "" for what passed in the ordinary way. `seconds` is the CPU
    time of the slowest test, `memory_bytes` the largest peak of resident memory, `tests` how many
    were run, the failing one included. `answer`, where a program ended well and only its output was
    another one: 16 hexadecimal digits of the SHA-256 of that output's tokens.
    """

    verdict: Verdict
    reason: str = ""
    seconds: float = 0.0
    memory_bytes: int = 0
    tests: int = 0
    answer: str = ""


@dataclass(frozen=True)
class ProgramTask:
    """A program that reads standard input and writes standard output.

    `tests` are pairs of input and expected output. They are iterated once per run, one at a time in
    memory, and must give the same each time; an attribute `digest` of theirs, if there is one,
    stands for their contents in the cache. `language` is 3, or 1 for Python 2 (the numbers of
    CodeContests).
    """

    source: str
    tests: Iterable[tuple[str, str]]
    limits: Limits = field(default_factory=Limits)
    compare: Compare = Compare.TOKENS
    language: int = 3


@dataclass(frozen=True)
class FunctionTask:
    """Functions, and a source of tests that calls them.

    The tests run in a process of their own, where each of `entry_points`, and any other name that
    the tests use and do not define, stands for a function of the solution's process. `together`:
    both are run in one process, for tests that need objects of the solution's own classes.
    """

    solution: str
    tests: str
    entry_points: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    together: bool = False


Task = ProgramTask | FunctionTask


def key_of(task: Task, python2: str = "") -> str:
    """The SHA-256 of everything that decides the verdict, in hexadecimal digits. `python2` is the
    version of the interpreter for Python 2."""
    sha = hashlib.sha256()

    def add(*parts: object) -> None:
        for part in parts:
            data = str(part).encode("utf-8", "surrogatepass")
            sha.update(b"%d:" % len(data))
            sha.update(data)

    add(HARNESS, sys.version, platform.machine(), task.limits)
    if isinstance(task, ProgramTask):
        if task.language == PYTHON_2:
            add("python2", python2)
        add("program", task.language, task.compare, task.source, digest_of(task.tests))
    else:
        add(
            "function", _FUNCTIONS, task.together, *task.entry_points, "", task.solution, task.tests
        )
    if uses_numpy(task):
        add("numpy", _numpy())
    return sha.hexdigest()


def digest_of(tests: Iterable[tuple[str, str]]) -> str:
    """What stands for tests in a key: their own `digest`, or one of all of them."""
    own = getattr(tests, "digest", None)
    if own is not None:
        return str(own)
    sha = hashlib.sha256()
    for pair in tests:
        for side in pair:
            data = side.encode("utf-8", "surrogatepass")
            sha.update(b"%d:" % len(data))
            sha.update(data)
    return sha.hexdigest()


def uses_numpy(task: Task) -> bool:
    """Whether a task mentions numpy, which is imported for those only."""
    texts = (task.source,) if isinstance(task, ProgramTask) else (task.solution, task.tests)
    return any("numpy" in text for text in texts)


@cache
def _numpy() -> str:
    try:
        return metadata.version("numpy")
    except metadata.PackageNotFoundError:
        return ""


def shortened(text: str) -> str:
    """`text` as a reason: one line of printable characters, `REASON_BYTES` at most in UTF-8."""
    line = printable(" ".join(text.split()))
    data = line.encode("utf-8", "replace")
    if len(data) <= REASON_BYTES:
        return line
    return data[: REASON_BYTES - 3].decode("utf-8", "ignore") + "..."
