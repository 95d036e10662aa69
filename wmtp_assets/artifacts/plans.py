"""Where a storage has the plans of work that is done in parts elsewhere, and the locks on them.

A process that writes the plans of an artifact holds the lock `planning`, and processes that work on
parts share the lock `working`. Plans are removed only while nobody holds either.
"""

from __future__ import annotations

from pathlib import Path

from wmtp_assets.artifacts.make.task import Task
from wmtp_assets.engines.engine import EngineError
from wmtp_assets.engines.whole import DIGITS, Plan, Whole
from wmtp_assets.storage.bounds import checked_name
from wmtp_assets.storage.preflight import PARTS


def plans_of(task: Task) -> Path:
    """The folder of the plans of an artifact's recipe: upstream's files of another revision lie at
    the same paths, and other code may make others of them, but its parts are not those."""
    return task.project.store.root / PARTS / task.artifact.name / task.recipe[:DIGITS]


def plan_of(task: Task, whole: Whole) -> Plan:
    """The plan of an artifact's work, if there is one. Raises EngineError."""
    return Plan(plans_of(task), whole)


def planning(root: Path, name: str) -> Path:
    """The lock for writing and removing the plans of an artifact."""
    return root / ".locks" / PARTS / f"{checked_name(name)}.lock"


def working(root: Path, name: str) -> Path:
    """The lock that those share who work on parts of an artifact."""
    return planning(root, name).with_suffix(".working")


def origin_of(folder: Path) -> tuple[Path, str]:
    """The storage and the artifact that a plan's folder is of, by its path. Raises EngineError."""
    *above, _, _ = folder.parts if len(folder.parts) > 2 else ("", "", "")
    if PARTS in above:
        at = len(above) - 1 - above[::-1].index(PARTS)
        if name := "/".join(above[at + 1 :]):
            return Path(*above[:at]), name
    raise EngineError(
        "This list of tasks is not where `wmtp slurm` wrote it",
        expected=f"a folder below {PARTS}/ of a storage",
        found=folder,
        hint="`wmtp slurm ASSET` writes a list, and says where.",
    )


def written_anew(name: str) -> str:
    """The hint where a plan is not, or not any more, one to go on with."""
    return f"`wmtp slurm {name}` writes an array job of what is there now."
