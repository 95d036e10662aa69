"""Which artifacts' work can be divided, and how one part of it is worked on.

`python -m wmtp_assets.artifacts.divided LIST NUMBER` works on the part in that line (from 0) of a
list that `wmtp slurm` wrote, and leaves the result beside the list. Only functions that the
table of kinds names are called, whatever a list says. Exit status: 0 finished, 2 refused.
"""

from __future__ import annotations

import os
import platform
import sys
from itertools import islice
from pathlib import Path
from typing import Final

from wmtp_assets import interrupts
from wmtp_assets.artifacts.kinds import KINDS, kind_of
from wmtp_assets.artifacts.make.task import Divided
from wmtp_assets.artifacts.plans import origin_of, working, written_anew
from wmtp_assets.artifacts.project import Project
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.engines.engine import EngineError, Function, Worker
from wmtp_assets.engines.finished import Finished
from wmtp_assets.engines.inputs import require_recorded, require_same
from wmtp_assets.engines.whole import read_line
from wmtp_assets.errors import WmtpError
from wmtp_assets.storage import locks

CORES: Final = "SLURM_CPUS_PER_TASK"
"""The variable in which Slurm says how many cores a task has."""


def division_of(project: Project, artifact: Artifact) -> Divided | None:
    """How an artifact is made in parts; None where it cannot be."""
    divided = kind_of(artifact).divided
    return divided if divided is not None and divided.able(project, artifact) else None


def functions() -> dict[str, Function]:
    """What parts are worked on by, by name."""
    every = (kind.divided for kind in KINDS.values())
    return dict(sorted((one.function.__name__, one.function) for one in every if one is not None))


def work_on(tasks: Path, number: int, cores: int) -> bool:
    """Works on one part; False where it was finished already.

    Raises WmtpError: EngineError also where the files that it reads are not those that the plan was
    made of, before or afterwards, and where the plan was removed.
    """
    root, artifact = origin_of(tasks.parent)
    again = written_anew(artifact)
    with locks.shared(working(root, artifact)):
        try:
            return _work_on(tasks, number, cores, again)
        except FileNotFoundError as error:
            if tasks.exists():
                raise
            raise _gone(tasks, again) from error


def _work_on(tasks: Path, number: int, cores: int, again: str) -> bool:
    known = functions()
    with tasks.open("rb") as file:
        line = next(islice(file, number, None), None)
    if line is None:
        raise EngineError(
            "The list of tasks is shorter",
            expected=f"more than {number:,} lines",
            where=tasks,
            hint=again,
        )
    task, name = read_line(line, tasks, *known.values())
    function, finished = known[name], Finished(tasks.parent)
    if finished.get(function, task) is not None:
        return False
    stamps = require_recorded(tasks.parent, again)
    try:
        result = function(task, Worker(cores))
    except Exception:  # a file that was replaced while it was read is damaged in any way
        require_same(stamps, again)
        raise
    require_same(stamps, again)
    if not tasks.exists():
        raise _gone(tasks, again)
    finished.put(function, task, result)
    return True


def _gone(tasks: Path, again: str) -> EngineError:
    return EngineError(
        "The list of tasks is not there any more: `wmtp gc` removes those of what has been made",
        where=tasks,
        hint=f"if it is to be made again, {again}",
    )


def main(arguments: list[str]) -> int:
    """See the module."""
    tasks, number = Path(arguments[0]).absolute(), int(arguments[1])
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
