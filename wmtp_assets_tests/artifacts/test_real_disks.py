"""The same without a double between: the kernel's own kills and a disk that is really full.

`make sweep` kills at each call, the suite at every second.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import evaluate
from wmtp_assets_tests.artifacts.editions import halves, leftovers, newer, planted, seen, small
from wmtp_assets_tests.artifacts.sweeping import ROWS, share
from wmtp_assets_tests.artifacts.workbench import Workbench
from wmtp_assets_tests.storage.faults import FaultyDisk
from wmtp_assets_tests.storage.namespaces import REPOSITORY, in_a_mount_namespace

# No fsync: a process that is killed before one leaves what it leaves before the call that follows.
CALLS = ("rename", "symlink", "mkdir", "write")
SWEEP = os.environ.get("WMTP_SWEEP", "")  # as in test_sweep.py
SERVER = """
import os, signal, sys
from pathlib import Path
from wmtp_assets.catalog import load_catalog
from wmtp_assets.artifacts import Project
from wmtp_assets_tests.artifacts.editions import newer, small
from wmtp_assets_tests.artifacts.sweeping import ROWS
from wmtp_assets_tests.artifacts.workbench import Workbench
catalog = newer(small(load_catalog("sample"), "optional"))
bench = Workbench(Project(catalog, Path(sys.argv[1]), sys.argv[2]))
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGSTOP)  # until strace has it
        bench.make(ROWS[1:3])
        os._exit(0)
    print(pid, flush=True)
    print(os.waitpid(pid, 0)[1], flush=True)
"""


class Killer:
    """Runs a split and its metadata in a process of its own, killed at the N-th of a call."""

    def __init__(self, storage: Path, hub: Path) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(storage), str(hub)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, call: str, number: int) -> bool:
        """Whether the process was killed; False when it came to its end before."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write("once more\n")
        self._server.stdin.flush()
        pid = int(self._server.stdout.readline())
        # Stopped for certain: a SIGCONT that came before its SIGSTOP would be lost.
        while "State:\tT" not in Path(f"/proc/{pid}/status").read_text():
            time.sleep(0.002)
        calls = f"/^{call}(at2?)?$"
        options = (*("-e", f"trace={calls}"), *("-e", f"inject={calls}:signal=KILL:when={number}"))
        strace = subprocess.Popen(
            ["strace", "-qq", "-o", os.devnull, *options, *("-p", str(pid))],
            stderr=subprocess.PIPE,
            text=True,
        )
        while "TracerPid:\t0\n" in (status := Path(f"/proc/{pid}/status").read_text()):
            if strace.poll() is not None:
                os.kill(pid, signal.SIGKILL)
                assert strace.stderr is not None
                pytest.skip(f"strace may not trace here: {strace.stderr.read()}")
            time.sleep(0.002)
        assert f"Pid:\t{pid}\n" in status
        os.kill(pid, signal.SIGCONT)
        status = int(self._server.stdout.readline())
        strace.wait()
        assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
        return status != 0

    def end(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace on this machine")
def test_a_split_killed_by_the_kernel_at_its_calls_leaves_old_or_new(
    memory: Path, project: Project, new_hub: Path, request: pytest.FixtureRequest
) -> None:
    template, world = memory / "template", memory / "world"
    ours = planted(project, small(project.catalog, "optional"), template)
    with FaultyDisk():
        Workbench(Project(newer(ours.catalog), template, str(new_hub))).make(ROWS[:1])
    now = Project(newer(ours.catalog), world, str(new_hub))
    old, new = seen(ours), None
    bench = Workbench(now)
    killer = Killer(world, new_hub)
    request.addfinalizer(killer.end)
    seed = SWEEP or str(random.SystemRandom().randrange(1 << 32))
    print(f"WMTP_SWEEP={seed} repeats this")
    chance, step = random.Random(seed), 1 if SWEEP == "all" else 2
    points = {call: chance.randrange(step) + 1 - step for call in CALLS}
    for call in CALLS:
        killed = True
        while killed:
            points[call] += step
            shutil.rmtree(world, ignore_errors=True)
            share(template, world)
            killed = killer.run(call, points[call])
            where = f"killed at {call} {points[call]}"
            between = seen(now)
            assert halves(now) == [], where
            with FaultyDisk():
                bench.make(ROWS[1:3])
            new = new or seen(now)
            assert seen(now) == new != old, where
            assert between in ((old, new) if killed else (new,)), where
            assert leftovers(now) == [], where
    with FaultyDisk():
        bench.make(ROWS)
    assert evaluate(now).open
    print(f"killed by strace at: {points}")
    assert min(points.values()) >= 2 or step > 1


FULL = """
import os, shutil, sys
from pathlib import Path
import dagster as dg
from wmtp_assets.artifacts.make import datasets, models
from wmtp_assets.catalog import load_catalog
from wmtp_assets.checkpoints import block_io
from wmtp_assets.artifacts import Project
from wmtp_assets.storage import StorageError
from wmtp_assets_tests.artifacts.editions import *
from wmtp_assets_tests.artifacts.sweeping import ROWS, STEPS
from wmtp_assets_tests.artifacts.workbench import Workbench
root, made, hub, new_hub, name = Path(sys.argv[1]), *sys.argv[2:]
step = STEPS[name]
made = Project(load_catalog("sample"), Path(made), hub)
catalog = small(made.catalog, "optional") if step.rows_only else model_alone(made.catalog)
old = seen(planted(made, catalog, root / "storage"))
now = Project(newer(catalog), root / "storage", new_hub)
bench = Workbench(now)
bench.make(step.before)
before = now.store.current(step.artifact)

def attempt(leave):
    filler = os.open(root / "filler", os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(filler, 0, max(1, shutil.disk_usage(root).free - leave))
    try:
        bench.make([step.artifact])
    except (StorageError, dg.Failure) as error:
        assert now.store.current(step.artifact) == before
        return str(error)
    finally:
        os.close(filler)
        os.unlink(root / "filler")
        assert seen(now) == old
        assert halves(now) == []
    return "made"

print(attempt(leave=8192))
for module in (datasets, models, block_io):  # so that the disk itself has to refuse, midway
    module.require_space = lambda folder, needed, purpose: needed
said = []
while not said or said[-1] != "made":
    said.append(attempt(leave=len(said) * (4096 if step.rows_only else 65536)))
print(len(said) - 1)
print([one for one in said[:-1] if "(ENOSPC)" not in one or "wmtp gc" not in one])
print(leftovers(now))
"""


@pytest.mark.parametrize("step", ["split", "convert"])
def test_a_disk_that_gets_full_at_any_size_keeps_the_old_version(
    step: str, project: Project, new_hub: Path, tmp_path: Path
) -> None:
    hub = str(project.hub_spec)
    run = in_a_mount_namespace(
        FULL, tmp_path, "size=48m", str(project.storage), hub, str(new_hub), step
    )
    early, count, told, left = run.stdout.splitlines()
    assert "needs more room than the disk has" in early, "asked before the work"
    assert int(count) >= 3
    assert (told, left) == ("[]", "[]"), told
    print(f"{step}: refused at {count} sizes of what was left")
