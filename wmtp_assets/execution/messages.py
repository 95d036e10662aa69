"""What the judge and its workers tell each other."""

from __future__ import annotations

from dataclasses import dataclass

from wmtp_assets.execution.tasks import Judged, Task


@dataclass(frozen=True)
class Order:
    """A task to judge. The tests of a program come after it, a `Test` each, and then an `End`."""

    number: int
    task: Task


@dataclass(frozen=True)
class Test:
    """One test of the program with this number; the worker answers `Taken` when it begins it."""

    number: int
    given: str
    expected: str


@dataclass(frozen=True)
class End:
    """There are no more tests of this number."""

    number: int


@dataclass(frozen=True)
class Taken:
    """A worker has begun a test, so that another one may be sent."""

    number: int


@dataclass(frozen=True)
class Refused:
    """Nothing can be executed: what keeps programs from being confined."""

    why: str


@dataclass(frozen=True)
class Answer:
    """The verdict on a task; not certain where a busy machine may have made it."""

    number: int
    judged: Judged
    certain: bool
