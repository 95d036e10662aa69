"""What engines have in common: a function is called for each of many tasks, somewhere.

Tasks and results are plain data, as JSON has it. A task names files by absolute paths: whatever
works on it must see them there (one machine, or a file system that all of them share). Functions
are of this package and change nothing but what is kept by contents, so that a task may be worked on
twice, or again after its worker was killed, and nobody sees a part of a result.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, get_args

from wmtp_assets.errors import WmtpError

EngineName = Literal["local", "ray"]
ENGINES: Final[tuple[EngineName, ...]] = get_args(EngineName)
SETTING: Final = "WMTP_ENGINE"
"""The variable of the environment that chooses."""

Task = dict[str, Any]
Result = dict[str, Any]


class EngineError(WmtpError):
    """Work could not be done where it was to be done."""


def nobody(_: int) -> None:
    """Is told how much is done, where nobody asked."""


@dataclass(frozen=True)
class Worker:
    """What a function may use for one task: how many cores; and whom it tells how many of the
    task's units are done."""

    cores: int = 1
    tell: Callable[[int], None] = nobody


Function = Callable[[Task, Worker], Result]
"""A function at the top level of a module, which workers import."""


class Engine(Protocol):
    """Calls a function for each of many tasks."""

    @property
    def name(self) -> EngineName:
        """By which it is chosen."""
        ...

    @property
    def parts(self) -> int:
        """Into how many tasks work is best divided, if there is enough of it."""
        ...

    def map(
        self, function: Function, tasks: Sequence[Task], tell: Callable[[int], None] = nobody
    ) -> Iterator[Result]:
        """The results, in the order of the tasks. `tell` is called with how many units of the task
        that is waited for are done, where that is known.

        Raises what `function` raises; EngineError where workers cannot work.
        """
        ...


def counted(
    engine: Engine,
    function: Function,
    tasks: Sequence[Task],
    size: Callable[[Task], int],
    at: Callable[[int], None],
) -> Iterator[Result]:
    """As `Engine.map`; `at` is told how many units of all tasks are done, of which `size` says how
    many a task has."""
    done = 0
    results = engine.map(function, tasks, lambda count: at(done + count))
    for task, result in zip(tasks, results, strict=True):
        done += size(task)
        at(done)
        yield result


def chosen_engine(environment: Mapping[str, str] | None = None) -> EngineName:
    """The engine that WMTP_ENGINE names; empty or unset is `local`. Raises EngineError."""
    given = (os.environ if environment is None else environment).get(SETTING) or "local"
    if given not in ENGINES:
        raise EngineError(
            f"{SETTING} names no engine",
            expected=" or ".join(ENGINES),
            found=f"{given!a:.100}",
            where=f"the variable {SETTING} of the environment",
            hint=f"correct {SETTING}, or unset it.",
        )
    return given
