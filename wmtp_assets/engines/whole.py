"""Work that is divided into parts, and the plan by which others have begun it.

A plan is a folder below a storage's `parts/`, named by what the whole is: `tasks.jsonl` has a line
per part, and beside it is the result of each part that is finished (`finished`). As long as it is
there the whole is divided as it says, so that what Slurm's array jobs have finished is found.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, Protocol

from wmtp_assets.engines.engine import Engine, EngineError, Function, Result, Task, counted, nobody
from wmtp_assets.engines.finished import Finished
from wmtp_assets.engines.forms import is_task
from wmtp_assets.engines.inputs import record, watching
from wmtp_assets.storage import disk
from wmtp_assets.storage.atomic import write_bytes
from wmtp_assets.storage.digests import digest_of

LIST: Final = "tasks.jsonl"
_AGAIN: Final = "have it written anew by `wmtp slurm`."
DIGITS: Final = 16
"""Of a digest, in the name of a folder."""


class Whole(Protocol):
    """Work that can be divided. Its tasks are in order; results joined in that order do not depend
    on how many there are."""

    @property
    def function(self) -> Function:
        """What gives a task's result."""
        ...

    @property
    def fetched(self) -> Mapping[Path, str]:
        """The files that tasks read and that may be replaced under their names (`inputs`), by
        SHA-256."""
        ...

    def identity(self) -> Task:
        """What the result of the whole depends on, as plain data; but for `conditions` of tasks,
        under which it is worked out."""
        ...

    def tasks(self, parts: int) -> list[Task]:
        """At most so many tasks."""
        ...

    def size(self, task: Task) -> int:
        """How many units of progress a task has."""
        ...


def folder_of(root: Path, whole: Whole) -> Path:
    """The folder of a whole's plan and of what is finished, below that of its artifact's plans."""
    return root / digest_of(whole.identity())[:DIGITS]


class Plan:
    """The plan of a whole; `parts` is 0 where there is none. `root` is the folder of those of the
    same artifact. Raises EngineError where it is no plan of this package's."""

    def __init__(self, root: Path, whole: Whole) -> None:
        self.folder = folder_of(root, whole)
        self.list = self.folder / LIST
        self.finished = Finished(self.folder)
        self._whole = whole
        self.parts = 0
        if self.list.exists():
            self.parts = sum(1 for _ in self._lines())
            if not self.parts:
                raise _no_list(b"", self.list, whole.function)

    def _lines(self) -> Iterator[Task]:
        with self.list.open("rb") as file:
            for line in file:
                yield read_line(line, self.list, self._whole.function)[0]

    def write(self, parts: int, again: str = _AGAIN) -> list[Task]:
        """Divides the whole into at most `parts` parts, if it is not divided yet; its tasks.

        Raises EngineError where it is divided into another number of parts, as of `require`, and
        where what it reads is not there as it was fetched: `again` is what helps then.
        """
        tasks = self._whole.tasks(parts)
        while len(tasks) != parts:  # until that many parts are possible: others divide again
            parts = len(tasks)
            tasks = self._whole.tasks(parts)
        if self.parts and self.parts != parts:
            raise EngineError(
                "This work is divided already, and parts of it may be finished",
                expected=f"{self.parts} parts",
                found=f"{parts} are asked for",
                where=self.folder,
                hint="leave --parts out to go on with those; to divide it anew, end its jobs and "
                f"`rm -r {shlex.quote(str(self.folder))}`.",
            )
        disk.make_folders(self.folder)
        record(self.folder, self._whole.fetched, again)
        if not self.parts:
            lines = (line_of(self._whole.function, task) for task in tasks)
            write_bytes(self.list, b"".join(lines))
            self.parts = len(tasks)
        self.require(tasks)
        return tasks

    def missing(self, tasks: Sequence[Task]) -> list[int]:
        """The numbers of those tasks that have no result."""
        function = self._whole.function
        return [at for at, task in enumerate(tasks) if self.finished.get(function, task) is None]

    def require(self, tasks: Sequence[Task]) -> None:
        """Raises EngineError where the list has other parts, or has them worked out under other
        conditions than those of this process: what is finished of them would not be found."""
        for line, task in zip_longest(self._lines(), tasks):
            if line is None or task is None:
                raise _other_list(self.list)
            conditions = line.get("conditions")
            if not isinstance(conditions, dict):
                raise _other_list(self.list)
            for name, wanted in conditions.items():
                if (found := task["conditions"].get(name)) != wanted:
                    raise EngineError(
                        f"Parts of this work were begun elsewhere, where {name} differs",
                        expected=wanted or "none",
                        found=found or "none",
                        where=self.folder,
                        hint="join them by the same installation; to begin anew with this one, "
                        f"`rm -r {shlex.quote(str(self.folder))}`.",
                    )
            if digest_of(line) != digest_of(task):
                raise _other_list(self.list)


def line_of(function: Function, task: Task) -> bytes:
    """The line of a list."""
    value = {"function": function.__name__, "task": task}
    return json.dumps(value, allow_nan=False).encode("ascii") + b"\n"


def read_line(line: bytes, where: Path, *functions: Function) -> tuple[Task, str]:
    """The task of a line of a list, and the name of its function.

    Raises EngineError where it is none for one of `functions`.
    """
    try:
        value: Any = json.loads(line)
        task, name = value["task"], value["function"]
        function = {one.__name__: one for one in functions}[name]
        if is_task(function, task):
            return task, name
    except (ValueError, RecursionError, LookupError, TypeError):
        pass
    raise _no_list(line, where, *functions)


def _no_list(line: bytes, where: Path, *functions: Function) -> EngineError:
    return EngineError(
        "This is no list of tasks",
        expected=f"lines that `wmtp slurm` wrote, for {' or '.join(f.__name__ for f in functions)}",
        found=f"{line[:100]!a}",
        where=where,
        hint=f"`rm -r {shlex.quote(str(where.parent))}`, and have it written anew.",
    )


def _other_list(where: Path) -> EngineError:
    return EngineError(
        "This list of tasks is not the one that `wmtp slurm` wrote for this work",
        expected="a line for each part, as the work is divided",
        found="lines that were changed, added or taken away",
        where=where,
        hint=f"end its jobs; `rm -r {shlex.quote(str(where.parent))}`, and have it written anew.",
    )


def results_of(
    whole: Whole,
    plan: Plan,
    engine: Engine,
    at: Callable[[int], None] = nobody,
) -> Iterator[Result]:
    """The results of all parts, in order: those that are finished, and what the engine gives for
    the others.

    Raises EngineError, at the end also where files that are read were replaced meanwhile; and what
    the function of the whole raises.
    """
    tasks = whole.tasks(plan.parts or engine.parts)
    if plan.parts:
        plan.require(tasks)
    resuming = _Resuming(engine, plan.finished)
    return watching(whole.fetched, counted(resuming, whole.function, tasks, whole.size, at))


class _Resuming:
    """An engine to which only those tasks go that are not finished."""

    def __init__(self, engine: Engine, finished: Finished) -> None:
        self.name = engine.name
        self.parts = engine.parts
        self._engine = engine
        self._finished = finished

    def map(
        self, function: Function, tasks: Sequence[Task], tell: Callable[[int], None] = nobody
    ) -> Iterator[Result]:
        """As of `Engine`."""
        there = [self._finished.path(function, task).is_file() for task in tasks]
        missing = [task for task, is_there in zip(tasks, there, strict=True) if not is_there]
        coming = self._engine.map(function, missing, tell)
        for task, is_there in zip(tasks, there, strict=True):
            found = self._finished.get(function, task) if is_there else next(coming)
            if found is None:  # damaged
                (found,) = self._engine.map(function, [task], tell)
            yield found
