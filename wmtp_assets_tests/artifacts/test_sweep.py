"""Every publishing path of a whole asset, killed or failing at every one of its disk operations.

The storage's own sweep (`storage/test_crash_sweep.py`) takes its calls alone; here are the assets'
own functions and what the IO managers publish, over an old edition that readers see. After each
fault: readers see the old edition or the new one as a whole, no version is half, the gate is open
only where an edition is whole and proven, the same step again converges, and `gc` leaves nothing.

`make sweep` strikes every operation (WMTP_SWEEP=all), the suite a part of them that is drawn anew
each time: WMTP_SWEEP=SEED repeats it.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import evaluate
from wmtp_assets_tests.artifacts.editions import (
    Maker,
    halves,
    leftovers,
    newer,
    planted,
    seen,
    small,
)
from wmtp_assets_tests.artifacts.sweeping import FAULTS, ROWS, STEPS, Sweep
from wmtp_assets_tests.storage.faults import FaultyDisk

SWEEP = os.environ.get("WMTP_SWEEP", "")
# One in so many operations is struck. Kills show what is not atomic, and are the cheapest.
EACH = {"killed": 2, "EIO once": 8, "disk full for good": 8}


@pytest.mark.skipif(SWEEP == "all", reason="`make sweep` strikes every operation")
@pytest.mark.parametrize(
    "step", [s if s == "document" else pytest.param(s, marks=pytest.mark.slow) for s in STEPS]
)
def test_a_fault_at_some_operations_leaves_old_or_new_and_the_next_try_converges(
    step: str, memory: Path, project: Project, new_hub: Path
) -> None:
    seed = SWEEP or str(random.SystemRandom().randrange(1 << 32))
    print(f"WMTP_SWEEP={seed} repeats this")
    chance = random.Random(f"{seed} {step}")
    sweep = Sweep(STEPS[step], memory, project, new_hub)
    points = [
        sweep.strike(at, fault)
        for fault in FAULTS
        for at in range(1 + chance.randrange(EACH[fault]), len(sweep.operations) + 1, EACH[fault])
    ]
    sweep.finish()
    assert sum(points) >= 5


@pytest.mark.slow
@pytest.mark.skipif(SWEEP != "all", reason="`make sweep` strikes every operation: minutes")
@pytest.mark.parametrize("step", STEPS)
def test_a_fault_at_every_operation_leaves_old_or_new_and_the_next_try_converges(
    step: str, memory: Path, project: Project, new_hub: Path
) -> None:
    sweep = Sweep(STEPS[step], memory, project, new_hub)
    every = range(1, len(sweep.operations) + 1)
    points = {fault: sum(sweep.strike(at, fault) for at in every) for fault in FAULTS}
    sweep.finish()
    print(f"{step}: {len(every)} operations, {points}")
    assert points["EIO once"] == points["disk full for good"] == len(every) >= 30
    assert points["killed"] >= 15


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_within_a_run_of_dagster_leaves_old_or_new_too(
    fault: str, memory: Path, project: Project, new_hub: Path
) -> None:
    """A few points through the engine: what it does with a death or an error changes nothing."""
    code, for_good = FAULTS[fault]
    for at in (7, 60, 110):
        ours = planted(project, small(project.catalog, "optional"), memory / str(at))
        now = Project(newer(ours.catalog), ours.storage, str(new_hub))
        maker, old = Maker(now), seen(now)
        with FaultyDisk(at, code, for_good=for_good) as faulty:
            outcome = maker.make(ROWS)
        assert faulty.struck
        there = seen(now)
        assert halves(now) == []
        assert evaluate(now).open is outcome.succeeded, "an error may be of no consequence"
        assert maker.make(ROWS).succeeded
        assert seen(now) != old
        assert there in (old, seen(now))
        assert evaluate(now).open
        assert leftovers(now) == []
