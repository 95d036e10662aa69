"""The kinds of artifacts whose work can be divided, and how one part of it is worked on.

`python -m wmtp_assets.artifacts.divided LIST NUMBER` works on the part in that line (from 0) of a
list that `wmtp slurm` wrote, and leaves the result beside the list. Only functions of `DIVIDED` are
called, whatever a list says. Exit status: 0 finished, 2 refused.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from wmtp_assets import interrupts
from wmtp_assets.artifacts.make import datasets, leaks, verdicts
from wmtp_assets.artifacts.make.task import Task
from wmtp_assets.artifacts.project import Project
from wmtp_assets.catalog.artifacts import Artifact, Kind
from wmtp_assets.corpora.shard_parts import format_shards
from wmtp_assets.engines.engine import EngineError, Function, Worker
from wmtp_assets.engines.finished import Finished
from wmtp_assets.engines.whole import Whole, read_line
from wmtp_assets.errors import WmtpError
from wmtp_assets.quality.judged_parts import judge_rows
from wmtp_assets.quality.leaks.parts import search_rows

CORES: Final = "SLURM_CPUS_PER_TASK"
"""The variable in which Slurm says how many cores a task has."""


def _always(project: Project, artifact: Artifact) -> bool:
    return True


@dataclass(frozen=True)
class Divided:
    """How the work of a kind is divided: `whole` of the artifact that is to be made, where it is
    `able` to be."""

    whole: Callable[[Task], Whole]
    function: Function
    able: Callable[[Project, Artifact], bool] = _always


DIVIDED: Final[Mapping[Kind, Divided]] = {
    Kind.SPLIT: Divided(datasets.shards_to_format, format_shards, datasets.can_be_divided),
    Kind.VERDICTS: Divided(verdicts.rows_to_execute, judge_rows),
    Kind.LEAKS: Divided(leaks.rows_to_search, search_rows),
}


def can_be_divided(project: Project, artifact: Artifact) -> bool:
    """Whether an artifact can be made in parts."""
    return artifact.kind in DIVIDED and DIVIDED[artifact.kind].able(project, artifact)


def work_on(tasks: Path, number: int, cores: int) -> bool:
    """Works on one part; False where it was finished already. Raises WmtpError."""
    functions = {one.function.__name__: one.function for one in DIVIDED.values()}
    with tasks.open("rb") as file:
        line = next(islice(file, number, None), None)
    if line is None:
        raise EngineError(
            "The list of tasks is shorter",
            expected=f"more than {number:,} lines",
            where=tasks,
            hint="have it written anew by `wmtp slurm`.",
        )
    task, name = read_line(line, tasks, *functions.values())
    function, finished = functions[name], Finished(tasks.parent)
    if finished.get(function, task) is not None:
        return False
    finished.put(function, task, function(task, Worker(cores)))
    return True


def main(arguments: list[str]) -> int:
    """See the module."""
    tasks, number = Path(arguments[0]), int(arguments[1])
    where = f"part {number} of {tasks}, on {platform.node()}"
    try:
        done = work_on(tasks, number, int(os.environ.get(CORES) or 1))
    except (WmtpError, OSError) as error:
        print(f"wmtp: {where}: {error}", file=sys.stderr)
        return 2
    print(f"{where}: {'finished' if done else 'was finished already'}", flush=True)
    return 0


if __name__ == "__main__":
    interrupts.install()
    interrupts.command_starts_over(False)  # it continues with what was executed
    interrupts.leave(interrupts.in_a_thread(lambda: main(sys.argv[1:])))
