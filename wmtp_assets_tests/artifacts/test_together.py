"""Real processes that make the same artifacts at once, through the assets: one works, others reuse;
and one that works dies, as by kill -9."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import evaluate
from wmtp_assets_tests.artifacts.editions import (
    halves,
    leftovers,
    newer,
    planted,
    seen,
    small,
)
from wmtp_assets_tests.artifacts.sweeping import ROWS

REPOSITORY = Path(__file__).parents[2]
CLIENT = """
import signal, sys
from pathlib import Path
from wmtp_assets.catalog import load_catalog
from wmtp_assets.artifacts import Project
from wmtp_assets_tests.artifacts.editions import Maker, newer, small
catalog = newer(small(load_catalog("sample"), "optional"))
maker = Maker(Project(catalog, Path(sys.argv[1]), sys.argv[2]))
print("ready", flush=True)
signal.setitimer(signal.ITIMER_PROF, float(sys.stdin.readline()))
outcome = maker.make(sys.argv[3:])
print("made" if outcome.succeeded else outcome.failures, flush=True)
"""


def started(storage: Path, hub: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(storage), str(hub), *ROWS],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(process: subprocess.Popen[str], dies_after: float = 0.0) -> None:
    """Lets it work; unless 0, it dies after so many seconds, of the processor's time: by the clock
    a busy machine would let it finish before it is killed, or not begin."""
    assert process.stdin is not None
    process.stdin.write(f"{dies_after}\n")
    process.stdin.flush()


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_one_of_many_processes_works_and_the_others_reuse(
    count: int, memory: Path, project: Project, new_hub: Path
) -> None:
    catalog = small(project.catalog, "optional")
    ours = planted(project, catalog, memory / "storage")
    before = {name: ours.store.current(name) for name in ROWS}
    processes = [started(ours.storage, new_hub) for _ in range(count)]
    assert [line(process) for process in processes] == ["ready"] * count
    for process in processes:
        go(process)
    assert [line(process) for process in processes] == ["made"] * count
    assert [process.wait() for process in processes] == [0] * count
    now = Project(newer(catalog), ours.storage, str(new_hub))
    for name, was in before.items():
        made = now.store.current(name)
        assert made is not None
        assert was is not None
        assert made.sequence == was.sequence + 1, f"{name} was made more than once"
    assert leftovers(now) == []
    assert halves(now) == []
    assert evaluate(now).open


@pytest.mark.slow
def test_death_at_random_moments_leaves_old_or_new_and_the_gate_closed_until_all_is_there(
    memory: Path, project: Project, new_hub: Path
) -> None:
    catalog = small(project.catalog, "optional")
    ours = planted(project, catalog, memory / "storage")
    now = Project(newer(catalog), ours.storage, str(new_hub))
    old = seen(now)
    chance = random.Random(9)
    kills = 0
    for _ in range(3):
        process = started(ours.storage, new_hub)
        assert line(process) == "ready"
        go(process, dies_after=chance.uniform(0.01, 0.4))  # of 0.9 or so
        status = process.wait()
        assert status in (0, -signal.SIGPROF)
        kills += status != 0
        assert halves(now) == []
        finished = all(
            (made := now.store.current(name)) and made.entry_digest == artifact.settings_digest
            for name, artifact in now.artifacts.items()
            if name in ROWS
        )
        assert finished or not evaluate(now).open
    assert kills >= 1
    process = started(ours.storage, new_hub)
    assert line(process) == "ready"
    go(process)
    assert line(process) == "made"
    assert process.wait() == 0
    assert seen(now) != old
    assert evaluate(now).open
    assert leftovers(now) == []
