"""Whole runs, through Dagster and the staleness decision, struck at any disk operation of theirs:
one plain rerun opens the gate."""

from __future__ import annotations

import errno
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.errors import WmtpError
from wmtp_assets.orchestration.run import Run, run
from wmtp_assets_tests.artifacts.editions import halves, leftovers, small
from wmtp_assets_tests.orchestration import tiny
from wmtp_assets_tests.orchestration.processes import started
from wmtp_assets_tests.orchestration.tiny import Tiny
from wmtp_assets_tests.storage.faults import FaultyDisk, Killed

SPLIT = "datasets/humaneval_test"
SELECTION = "group:humaneval"
FAULTS: dict[str, tuple[int | None, bool]] = {
    "killed": (None, False),
    "EIO once": (errno.EIO, False),
    "disk full for good": (errno.ENOSPC, True),
    "quota used up for good": (errno.EDQUOT, True),
}


def nothing_made(storage: Path) -> None:
    shutil.rmtree(storage)


def no_metadata(storage: Path) -> None:
    shutil.rmtree(storage / "versions" / f"{SPLIT}_metadata")


def not_published(storage: Path) -> None:
    for name in ("published", "datasets_v2"):
        shutil.rmtree(storage / name)


LOSSES: dict[str, Callable[[Path], None]] = {
    "from nothing": nothing_made,
    "what completes a set": no_metadata,
    "publishing alone": not_published,
}


class RunSweep:
    """A run after one loss, with a world to strike as often as one likes."""

    def __init__(
        self, loss: str, made: Project, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._template = tiny.rows(made, folder / "template")
        LOSSES[loss](self._template.storage)
        self._world = folder / "world"
        (folder / "home").mkdir()
        monkeypatch.setenv("DAGSTER_HOME", str(folder / "home"))  # one history for all
        monkeypatch.chdir(folder)
        world = self._begin()
        with FaultyDisk() as counted:
            assert self._run(world).succeeded
        self.operations = counted.log
        self._contract = tiny.contract(world)

    def strike(self, at: int, fault: str) -> None:
        """Strikes operation `at` (from 1); then one plain rerun, and a look at everything."""
        code, for_good = FAULTS[fault]
        world = self._begin()
        with FaultyDisk(at, code, for_good=for_good) as faulty:
            said = ""
            try:
                self._run(world)
            except (Killed, WmtpError) as error:
                said = str(error)
        assert code is None or not said or errno.errorcode[code] in said, said
        where = f"{fault} at operation {at} of {len(self.operations)}: {faulty.log[-2:]}"
        assert faulty.struck, where
        assert halves(world.project) == [], where
        with FaultyDisk():
            again = self._run(world)
        assert again.succeeded, (where, again.failures)
        assert world.opens(), where
        assert tiny.contract(world) == self._contract, where
        with FaultyDisk():
            assert leftovers(world.project) == [], where

    def _begin(self) -> Tiny:
        shutil.rmtree(self._world, ignore_errors=True)
        return tiny.copied(self._template, self._world)

    def _run(self, world: Tiny) -> Run:
        return run(world.project, SELECTION, force=False)


def test_a_run_struck_anywhere_is_healed_by_one_plain_rerun(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    sweep = RunSweep("what completes a set", project, tmp_path, monkeypatch)
    for fault in ("killed", "EIO once"):
        sweep.strike(chance.randint(1, len(sweep.operations)), fault)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_runs_struck_at_many_points_are_healed_by_one_plain_rerun(
    loss: str, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    sweep = RunSweep(loss, project, tmp_path, monkeypatch)
    print(f"seed {seed}, {len(sweep.operations)} operations")
    points = [at for at, (operation, _) in enumerate(sweep.operations, 1) if operation != "fsync"]
    for at in chance.sample(points, 5):
        sweep.strike(at, "killed")
    for fault in FAULTS:
        sweep.strike(chance.choice(points), fault)


@pytest.mark.slow
def test_a_killed_run_at_random_moments_is_healed_by_one_plain_rerun(
    project: Project, tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    catalog = small(project.catalog, "optional")
    world = tiny.empty(tmp_path / "world", catalog, Path(str(project.hub_spec)))
    began = time.monotonic()
    assert started(world, "materialize", SELECTION).wait() == 0
    whole = time.monotonic() - began
    for _ in range(4):
        for loss in ("versions", "published", "datasets_v2", "phase2_readiness.json"):
            tiny.scrap(world.storage / loss)
        process = started(world, "materialize", SELECTION)
        time.sleep(chance.uniform(0.3, 1) * whole)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        process = started(world, "materialize", SELECTION)
        said, complained = process.communicate()
        assert process.returncode == 0, (seed, said, complained)
        assert world.opens(), seed
