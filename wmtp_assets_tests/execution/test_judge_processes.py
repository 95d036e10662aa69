"""Workers that die, a judge that is killed or interrupted: nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from wmtp_assets.execution.cache import VerdictCache
from wmtp_assets.execution.judge import PREFIX, Judge
from wmtp_assets.execution.limits import Limits
from wmtp_assets.execution.tasks import Judged, ProgramTask, Verdict
from wmtp_assets.interrupts import descendants

SLEEPS = "import time\ntime.sleep(float(input()))\nprint(1)"


class Tries:
    """One test, with another input each time that the program is tried: seconds to sleep."""

    digest = "tries"

    def __init__(self, *inputs: str) -> None:
        self.inputs = iter(inputs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        yield next(self.inputs), "1"


def until(condition: Callable[[], object], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def of_the_judge(pid: int, module: bytes) -> list[int]:
    return [one for one in descendants(pid) if module in command(one)]


@contextmanager
def judging(*seconds: str) -> Iterator[list[Judged]]:
    """A judge in a thread, with one task that sleeps for so long at each try; the list that its
    verdict comes to."""
    found: list[Judged] = []
    task = ProgramTask(SLEEPS, Tries(*seconds), Limits(wall_seconds=400))

    def run() -> None:
        with Judge(1) as judge:
            found.extend(judged for _, judged in judge.judge([(0, task)]))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield found
    thread.join()


@pytest.mark.parametrize("module", [b"execution.worker", b"fork_server.py"])
def test_a_task_whose_worker_is_killed_is_tried_once_more(module: bytes) -> None:
    me = os.getpid()
    with judging("300", "0") as found:
        until(lambda: len(of_the_judge(me, b"fork_server.py")) > 1)  # the server, and its child
        first = of_the_judge(me, b"execution.worker")
        for pid in of_the_judge(me, module):
            with suppress(ProcessLookupError):  # a child ends with its server
                os.kill(pid, signal.SIGKILL)
        until(lambda: not set(first) & set(of_the_judge(me, b"execution.worker")))
        until(lambda: found)
    assert found[0].verdict == Verdict.PASSED


def test_a_task_whose_worker_is_killed_twice_is_not_runnable() -> None:
    me = os.getpid()
    killed = set()
    with judging("300", "300") as found:
        while not found:
            if len(of_the_judge(me, b"fork_server.py")) > 1:
                for pid in of_the_judge(me, b"execution.worker"):
                    with suppress(ProcessLookupError):  # it was killed before
                        os.kill(pid, signal.SIGKILL)
                        killed.add(pid)
            time.sleep(0.05)
    assert len(killed) == 2
    assert found[0].verdict == Verdict.NOT_RUNNABLE
    assert found[0].reason.startswith("its worker ended twice (exit status -9)")


SCRIPT = """
import signal
import sys
from pathlib import Path
from wmtp_assets.execution.cache import VerdictCache
from wmtp_assets.execution.judge import Judge
from wmtp_assets.execution.limits import Limits
from wmtp_assets.execution.tasks import ProgramTask

# Who starts the tests in the background of a shell has had it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
limits = Limits(cpu_seconds=600)  # until they are ended
programs = [ProgramTask("print(1)", [("", "1")], limits)]
programs += [ProgramTask(f"# {n}\\nwhile True: pass", [("", "1")], limits) for n in range(2)]
with VerdictCache(Path(sys.argv[1])) as cache, Judge(2, cache) as judge:
    for name, judged in judge.judge(enumerate(programs)):
        print(name, judged.verdict, flush=True)
"""


# Of every process with a site: a worker takes its time to remove its folder.
SLOW_TO_LEAVE = """
import shutil, sys, time
rmtree = shutil.rmtree
def slow(*given, **more):
    if "wmtp_assets.execution.worker" in sys.orig_argv:
        time.sleep(0.3)
    rmtree(*given, **more)
shutil.rmtree = slow
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_the_judge_and_what_it_had_judged_is_kept(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_TO_LEAVE)
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "cache")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(tmp_path)},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "0 passed\n"
        try:
            until(lambda: len(of_the_judge(process.pid, b"fork_server.py")) >= 4)
            every = descendants(process.pid)
            os.kill(process.pid, number)
            process.wait(240)
        finally:
            process.kill()
    until(lambda: not any(command(pid) for pid in every))
    left = list(tmp_path.glob(f"{PREFIX}*"))
    assert len(left) == (number is signal.SIGKILL)
    assert list(tmp_path.glob(f"{PREFIX}*/*/*")) == []  # the workers take their folders away
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Judge(1) as judge:
        assert list(tmp_path.glob(f"{PREFIX}*")) == [
            judge._folder.path
        ]  # the next one, the judge's
    assert list(tmp_path.glob(f"{PREFIX}*")) == []
    with VerdictCache(tmp_path / "cache") as cache:
        assert len(cache) == 1
