"""Fetch, convert, split and document, through their assets, dying or failing at disk operations.

The storage's own sweep (`storage/test_crash_sweep.py`) takes each of its operations; here the
steps run as a user runs them. After each fault: readers see the old edition or the new one as a
whole, no version is half, the gate is closed unless the new edition is there, the same step again
converges, and `gc` leaves nothing behind.
"""

from __future__ import annotations

import errno
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from wmtp_assets.catalog.artifacts import Kind
from wmtp_assets.gate import evaluate, judge
from wmtp_assets.project import Project
from wmtp_assets.proofs import prove, published, quick
from wmtp_assets_tests.gatekeeping.editions import (
    CHECKPOINT,
    SPLIT,
    Maker,
    Outcome,
    halves,
    leftovers,
    newer,
    planted,
    seen,
    small,
)
from wmtp_assets_tests.storage.faults import FaultyDisk


@dataclass(frozen=True)
class Step:
    """One artifact of the new edition, and what was made of that edition before it."""

    artifact: str
    before: tuple[str, ...] = ()


ROWS = (f"{SPLIT}_raw", SPLIT)
MODEL = (CHECKPOINT, *(f"{CHECKPOINT}_{part}" for part in ("config", "certificate", "adapter")))
STEPS = {
    "fetch": Step(ROWS[0]),
    "split": Step(ROWS[1], ROWS[:1]),
    "metadata, which publishes the split": Step(f"{SPLIT}_metadata", ROWS),
    "convert": Step(MODEL[0]),
    "document": Step(MODEL[1], MODEL[:1]),
    "metadata, which publishes the model": Step(f"{CHECKPOINT}_metadata", MODEL),
}
FAULTS = {
    "killed": (None, False),
    "EIO once": (errno.EIO, False),
    "disk full for good": (errno.ENOSPC, True),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_is_killed_leaves_old_or_new_and_the_next_one_converges(
    step: str, memory: Path, project: Project, new_hub: Path
) -> None:
    # A few of the operations, others in each step; the thorough sweep takes every second one.
    begin = 1 + list(STEPS).index(step)
    assert sweep(STEPS[step], memory, project, new_hub, "killed", begin, 9) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("step", STEPS)
def test_at_many_operations_of_every_step(
    step: str, fault: str, memory: Path, project: Project, new_hub: Path
) -> None:
    every = 2 if fault == "killed" else 7
    assert sweep(STEPS[step], memory, project, new_hub, fault, 1, every) >= 3


@pytest.mark.parametrize("step", ["split", "convert"])
@pytest.mark.parametrize("fault", ["EIO once", "disk full for good"])
def test_a_failing_disk_leaves_the_old_version_and_one_clear_error(
    step: str, fault: str, memory: Path, project: Project, new_hub: Path
) -> None:
    assert sweep(STEPS[step], memory, project, new_hub, fault, 2, 9) >= 3


def sweep(
    step: Step, folder: Path, made: Project, new_hub: Path, fault: str, begin: int, every: int
) -> int:
    """Runs the step with a fault at operation `begin` and every so many after; how many it was."""
    code, for_good = FAULTS[fault]
    rows_only = step.artifact.startswith("datasets/")
    catalog = small(made.catalog, "optional" if rows_only else "required")
    template = planted(made, catalog, folder / "template").storage
    old_project = Project(catalog, template, made.hub_spec)
    now = Project(newer(catalog), template, str(new_hub))
    if step.before:
        with FaultyDisk():
            assert Maker(now).make(step.before).succeeded
    old = seen(old_project)

    world = folder / "world"
    project = Project(now.catalog, world, now.hub_spec)
    maker = Maker(project)
    shutil.copytree(template, world, symlinks=True)
    with FaultyDisk() as counted:
        assert maker.make([step.artifact]).succeeded
    receipt = project.store.current(step.artifact)
    assert receipt is not None
    new = seen(project)
    assert (new != old) == step.artifact.endswith("_metadata")

    points = 0
    for at in range(begin, counted.count + 1, every):
        if counted.log[at - 1][0] == "fsync" and code is None:
            continue  # a kill before it is the same as a kill before what comes after it
        points += 1
        shutil.rmtree(world)
        shutil.copytree(template, world, symlinks=True)
        with FaultyDisk(at, code, for_good=for_good) as faulty:
            outcome = maker.make([step.artifact])
        where = f"after operation {at}: {faulty.log[-3:]}"
        assert faulty.struck, where
        assert_told(outcome, code, where)
        there = seen(project)
        assert there in (old, new), f"a mix {where}"
        assert halves(project) == [], where
        open_now = gate_is_open(project, step.artifact)
        assert not open_now, f"the edition is not finished, {where}"
        with FaultyDisk():
            if at % 2:  # gc before the second try, or after it only
                assert leftovers(project) == [], where
                assert seen(project) == there, where
            assert maker.make([step.artifact]).succeeded, where
        assert seen(project) == new, f"no convergence {where}"
        again = project.store.current(step.artifact)
        assert again is not None
        assert again.digest == receipt.digest, where
        assert leftovers(project) == [], where
        assert halves(project) == [], where
    # The rest of the edition, on what the last fault left and its second try made of it.
    rest = [name for name in project.artifacts if name.startswith("datasets/") or not rows_only]
    assert maker.make(rest).succeeded
    assert evaluate(project).open
    print(f"{step.artifact}, {fault}: {points} of {counted.count} operations")
    return points


def gate_is_open(project: Project, changed: str) -> bool:
    """The gate's conclusion from every proof of what was changed, and a quick look at the rest.

    Loading the model at every point would take an hour; what it would add is proven at the end.
    """
    findings = {}
    for name, artifact in project.artifacts.items():
        deep = name == changed and artifact.kind is not Kind.CHECKPOINT
        findings[name] = (prove if deep else quick)(project, artifact)
    return judge(project, findings, published(project)).open


def assert_told(outcome: Outcome, code: int | None, where: str) -> None:
    """A refusal by the disk is told by its name, or was of no consequence."""
    if code is not None and not outcome.succeeded:
        assert errno.errorcode[code] in outcome.failures, where
