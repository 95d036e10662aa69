"""Whole runs, through Dagster and the staleness decision, struck at every disk operation of theirs:
one plain rerun opens the gate.

`make sweep` takes every point (WMTP_SWEEP=all), but of one run a few of each loop. The suite takes
a few that are drawn anew each time, WMTP_SWEEP=SEED repeats them. `struck_runs.py` says which
points are one case.
"""

from __future__ import annotations

import errno
import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import wmtp_assets
from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import evaluate, write_report
from wmtp_assets.catalog import Catalog
from wmtp_assets.storage import claims, errors
from wmtp_assets_tests.artifact_checks.breaking import flip
from wmtp_assets_tests.artifacts.editions import newer, planted, small
from wmtp_assets_tests.orchestration import tiny
from wmtp_assets_tests.orchestration.processes import started
from wmtp_assets_tests.orchestration.struck_runs import Outcome, Point, StruckRun
from wmtp_assets_tests.web.pages import make

SPLIT = "datasets/humaneval_test"
MODEL = "models/meta-llama-mtp"
SELECTION = "group:humaneval or group:gate"
SWEEP = os.environ.get("WMTP_SWEEP", "")


def rows(catalog: Catalog) -> Catalog:
    """One split with a small copy of it, and its tokenizer."""
    all_of_it = catalog.datasets["codecontests"]
    assert all_of_it.small is not None
    dataset = all_of_it.model_copy(
        update={
            "splits": {"valid": all_of_it.splits["valid"]},
            "small": all_of_it.small.model_copy(update={"rows": {"valid": 32}}),
        }
    )
    return small(catalog, "optional").model_copy(update={"datasets": {"codecontests": dataset}})


def models(catalog: Catalog) -> Catalog:
    """A model that is also published in shards, and a slice of it."""
    names = ("ref-sheared-llama-2.7b", "micro-ref")
    chosen = small(catalog, "optional").models | {name: catalog.models[name] for name in names}
    return catalog.model_copy(update={"models": chosen, "datasets": {}})


def one_split(catalog: Catalog) -> Catalog:
    return small(catalog, "optional")


def one_model(catalog: Catalog) -> Catalog:
    return small(catalog).model_copy(update={"datasets": {}})


def nothing(made: Project, project: Project) -> None:
    """The run starts from nothing."""


def without_adapter(made: Project, project: Project) -> None:
    planted(made, project.catalog, project.storage)
    for lost in ("adapter", "metadata"):
        shutil.rmtree(project.storage / "versions" / f"{MODEL}_{lost}")


def not_published(made: Project, project: Project) -> None:
    planted(made, project.catalog, project.storage)
    for name in ("published", "datasets_v2"):
        shutil.rmtree(project.storage / name)


def older(made: Project, project: Project) -> None:
    planted(made, one_split(made.catalog), project.storage)


def damaged(made: Project, project: Project) -> None:
    planted(made, project.catalog, project.storage)
    flip(project.store.path(SPLIT) / "test.jsonl")
    write_report(project, evaluate(project))


@dataclass(frozen=True)
class Case:
    """A run: of which catalog, from what.

    `about` is in the names of the boundaries that are struck, and none of `known`: what makes and
    publishes the others is the same function, and the same kind of artifact, as elsewhere here.
    """

    catalog: Callable[[Catalog], Catalog]
    selection: str
    begin: Callable[[Project, Project], None] = nothing
    about: str = ""
    known: tuple[str, ...] = ()
    new: bool = False
    of_loop: int | None = None  # see `StruckRun`


CASES = {
    "a split and its small copy, from nothing": Case(
        rows,
        "group:codecontests or group:codecontests_small or group:gate",
        known=("tokenizer_raw",),
    ),
    "a model in shards and its slice, from nothing": Case(
        models,
        "group:ref_sheared_llama_2_7b or group:micro_ref or group:gate",
        known=("tokenizer", "micro-ref_", "report"),
        of_loop=4,  # each of its reruns converts: all 1,600 points take half an hour of a core
    ),
    "what is only beside a multi-token model": Case(
        one_model, "group:meta_llama_mtp or group:gate", without_adapter, "adapter"
    ),
    "a new edition of a published split": Case(
        one_split, SELECTION, older, known=("report",), new=True
    ),
    "publishing alone": Case(one_split, SELECTION, not_published, "publish"),
    "the repair of a damaged split": Case(one_split, SELECTION, damaged, f"{SPLIT}"),
}
QUICK = ("a new edition of a published split", "publishing alone", "the repair of a damaged split")


def swept(
    name: str,
    made: Project,
    new_hub: Path,
    folder: Path,
    wanted: Callable[[Point], bool] = lambda point: True,
    about: Callable[[str], bool] = lambda boundary: True,
    chance: random.Random | None = None,
) -> Outcome:
    case = CASES[name]
    catalog = case.catalog(made.catalog)
    project = Project(
        newer(catalog) if case.new else catalog,
        folder / "storage",
        str(new_hub) if case.new else made.hub_spec,
    )
    case.begin(made, project)
    (folder / "sweep").mkdir()
    run = StruckRun(
        project,
        case.selection,
        folder / "sweep",
        wanted=wanted,
        about=lambda boundary: (
            case.about in boundary
            and not any(one in boundary for one in case.known)
            and about(boundary)
        ),
        of_loop=case.of_loop,
        chance=chance,
    )
    return run.sweep()


@pytest.mark.slow
@pytest.mark.skipif(SWEEP != "all", reason="`make sweep` takes every point: minutes")
@pytest.mark.parametrize("name", CASES)
def test_a_run_struck_anywhere_is_healed_by_one_plain_rerun(
    name: str, project: Project, new_hub: Path, memory: Path
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    outcome = swept(name, project, new_hub, memory, chance=random.Random(seed))
    print(f"{name}: seed {seed}: {outcome.summary}")
    assert outcome.failures == []
    assert len(outcome.untried) <= sum(outcome.points.values()) / 100
    assert len(outcome.boundaries) >= 1
    assert min(outcome.points.values()) >= 10


@pytest.mark.slow
@pytest.mark.skipif(SWEEP == "all", reason="`make sweep` takes every point")
def test_a_run_struck_at_some_points_is_healed_by_one_plain_rerun(
    project: Project, new_hub: Path, memory: Path
) -> None:
    seed = SWEEP or str(random.SystemRandom().randrange(1 << 32))
    print(f"WMTP_SWEEP={seed} repeats this")
    chance = random.Random(seed)
    name = chance.choice(QUICK)
    outcome = swept(
        name,
        project,
        new_hub,
        memory,
        wanted=lambda point: chance.random() < 0.03,
        about=lambda boundary: name != QUICK[0] or chance.random() < 0.3,
    )
    print(f"{name}: {outcome.summary}")
    assert outcome.failures == []


def test_no_code_tells_one_error_of_the_disk_from_another() -> None:
    """What `struck_runs.py` relies on: a full disk, a quota and a broken device differ in the hint
    that is printed, and in nothing else."""
    naming = [
        path.name
        for path in Path(wmtp_assets.__path__[0]).rglob("*.py")
        if re.search(r"\b(EIO|ENOSPC|EDQUOT)\b", path.read_text(encoding="utf-8"))
    ]
    assert sorted(naming) == ["claims.py", "errors.py"]
    assert {errno.EIO, errno.ENOSPC, errno.EDQUOT} == claims._DISK, "all of them alike"
    assert errors._HINTS[errno.EDQUOT] is errors._HINTS[errno.ENOSPC]
    assert errors._HINTS.keys() >= {errno.EIO, errno.EDQUOT}


MILESTONES = ("upstream", f"versions/{SPLIT}_raw", f"versions/{SPLIT}", "published", "datasets_v2")


@pytest.mark.slow
def test_a_killed_process_is_healed_by_one_plain_rerun(project: Project, tmp_path: Path) -> None:
    """The same without a fork: `wmtp materialize`, SIGKILL, and its history of runs."""
    milestone = random.SystemRandom().choice(MILESTONES)
    world = tiny.empty(tmp_path / "world", one_split(project.catalog), Path(str(project.hub_spec)))
    process = started(world, "materialize", "group:humaneval")
    while process.poll() is None and not (world.storage / milestone).exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)  # a busy machine may let this come when it has ended
    said = process.communicate()
    assert (world.storage / milestone).exists(), (milestone, said)
    again = subprocess.run(
        make("materialize"), env=world.environment(), capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, (milestone, again.stdout, again.stderr)
    assert world.opens(), milestone
