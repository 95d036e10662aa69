"""Work in parts for Slurm: an array job to read before it is submitted, and what joins its parts.

Three scripts beside the plan's list of tasks: `array.sbatch` (an element per part that is not
finished), `join.sbatch` (`wmtp materialize`), and `submit.sh`, which submits the first, and the
second to begin when the first has ended.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wmtp_assets.artifacts.divided import division_of
from wmtp_assets.artifacts.make.task import Divided, Log, Task
from wmtp_assets.artifacts.making import load_inputs, recipe_of
from wmtp_assets.artifacts.plans import plan_of, planning, plans_of
from wmtp_assets.artifacts.project import Project
from wmtp_assets.artifacts.settings import Settings
from wmtp_assets.artifacts.types import Fetched, Handle
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.engines.engine import SETTING, EngineError
from wmtp_assets.engines.whole import folder_of
from wmtp_assets.execution.judge import PYTHON_2_SETTING
from wmtp_assets.storage import locks
from wmtp_assets.storage.atomic import write_bytes
from wmtp_assets.storage.disk import make_folders

MOST_PARTS: Final = 1000
"""Slurm's own bound of an array (MaxArraySize), unless its administrator has set another."""
PARTS: Final = 100
_KEPT: Final = (PYTHON_2_SETTING, "DAGSTER_HOME", "PYTHONPATH")
_MEMORY: Final = "3G"  # most contests allow a program 256 MB, a few 1 GB; the rest is the judge's


@dataclass(frozen=True)
class Submission:
    """What was written for an artifact: the folder of its scripts, how many parts there are,
    how many of them are not finished, and whether the artifact is made nevertheless."""

    artifact: str
    folder: Path
    parts: int
    missing: int
    made: bool


def write_submission(
    project: Project, settings: Settings, name: str, log: Log, parts: int | None = None
) -> Submission:
    """Writes the plan of an artifact and its scripts; `parts` None goes on with what is planned.

    Raises EngineError where the artifact is not one that is made in parts, StorageError where what
    it is made from is not there.
    """
    artifact, divided = _divisible(project, name)
    handles = {one.name: one for one in load_inputs(project, artifact)}
    nowhere = project.store.root / "not-written-to"
    recipe = recipe_of(project, artifact, handles)
    task = Task(project, artifact, handles, nowhere, log, recipe=recipe.digest)
    whole = divided.whole(task)
    log_pattern(folder_of(plans_of(task), whole), "")  # before anything is written
    variables = {**settings.environment(), SETTING: "local"}
    variables |= {one: os.environ[one] for one in _KEPT if os.environ.get(one)}
    with locks.exclusive(planning(project.store.root, name), log.info):
        plan = plan_of(task, whole)
        tasks = plan.write(parts or plan.parts or PARTS, _fetched_anew(name, handles))
        missing = plan.missing(tasks)
        make_folders(plan.folder / "logs")
        scripts = {
            "array.sbatch": _array(name, plan.folder, missing, len(tasks), variables),
            "join.sbatch": _join(name, plan.folder, variables),
            "submit.sh": _submit(plan.folder),
        }
        for file, text in scripts.items():
            write_bytes(plan.folder / file, text.encode())
    made = recipe.made(project.store, name) is not None
    return Submission(name, plan.folder, len(tasks), len(missing), made)


def _fetched_anew(name: str, handles: Mapping[str, Handle]) -> str:
    """The hint where upstream's files are not those of the listing that stands for them."""
    raw = " ".join(one.name for one in handles.values() if isinstance(one, Fetched))
    return f"`wmtp materialize {raw} --force` fetches them; then `wmtp slurm {name}` again."


def _divisible(project: Project, name: str) -> tuple[Artifact, Divided]:
    artifact = project.artifacts.get(name)
    divided = None if artifact is None else division_of(project, artifact)
    if artifact is None or divided is None:
        able = [one.name for one in project.artifacts.values() if division_of(project, one)]
        raise EngineError(
            "This asset is not made in parts",
            expected=f"one of {', '.join(able)}" if able else "a catalog with such an asset",
            found=f"{name!a:.200}",
            hint=f"`wmtp materialize {name}` makes it on this machine."
            if artifact
            else "`wmtp list` names every asset.",
        )
    return artifact, divided


def _array(
    name: str, folder: Path, missing: list[int], parts: int, variables: Mapping[str, str]
) -> str:
    return (
        f"{_head(name, folder, '%A_%a', 1)}"
        f"#SBATCH --array={_ranges(missing)}\n"
        f"#SBATCH --mem-per-cpu={_MEMORY}\n"
        "#SBATCH --requeue\n"
        f"# {len(missing)} of {parts} parts of {name} are not finished: an element each.\n"
        "# What a part is stands in its line of tasks.jsonl, counted from 0. For a partition, an\n"
        "# account or a time limit: `sh submit.sh --partition=... --time=...`.\n"
        f"{_exports(variables)}"
        f"exec {shlex.quote(sys.executable)} -P -m wmtp_assets.artifacts.divided "
        f'{shlex.quote(str(folder / "tasks.jsonl"))} "$SLURM_ARRAY_TASK_ID"\n'
    )


def _join(name: str, folder: Path, variables: Mapping[str, str]) -> str:
    return (
        f"{_head(name, folder, 'join_%j', 2)}"
        "# Joins what is finished, executes what is not, and publishes.\n"
        f"{_exports(variables)}"
        f"exec {shlex.quote(sys.executable)} -P -m wmtp_assets.cli materialize "
        f"{shlex.quote(name)}\n"
    )


def _submit(folder: Path) -> str:
    array, join = (shlex.quote(str(folder / f"{one}.sbatch")) for one in ("array", "join"))
    return (
        "#!/bin/sh\n"
        "# Arguments (--partition=..., --account=...) are for both jobs.\n"
        "set -eu\n"
        f'job=$(sbatch --parsable "$@" {array})\n'
        # Killed elements are no reason not to join: what they leave out is executed then.
        f'sbatch --dependency="afterany:${{job%%;*}}" "$@" {join}\n'
    )


def _head(name: str, folder: Path, log: str, cores: int) -> str:
    return (
        "#!/bin/sh\n"
        f"#SBATCH --job-name=wmtp-{name.rpartition('/')[2]}\n"
        f"#SBATCH --output={shlex.quote(log_pattern(folder, log))}\n"
        f"#SBATCH --cpus-per-task={cores}\n"
    )


def log_pattern(folder: Path, name: str) -> str:
    """Where Slurm writes a log, by its pattern of a file's name. Raises EngineError where it has
    no way to write that: after a backslash it replaces nothing, and quotes do not protect it."""
    logs = str(folder / "logs")
    if "\\" in logs:
        raise EngineError(
            "Slurm cannot name a file whose path has a backslash",
            expected="a storage at another path",
            found=logs,
            hint="move the storage, and set WMTP_STORAGE to its new path.",
        )
    return f"{logs.replace('%', '%%')}/{name}.log"


def _exports(variables: Mapping[str, str]) -> str:
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    return "set -eu\n" + "".join(lines)


def _ranges(numbers: Iterable[int]) -> str:
    """Ascending numbers as Slurm takes them: 0-3,7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{a}-{b}" if a != b else str(a) for a, b in runs)
