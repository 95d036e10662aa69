"""SIGINT, SIGTERM and SIGHUP end a command at any moment: its status, its words, what it leaves."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets_tests.artifacts.editions import small
from wmtp_assets_tests.orchestration import tiny
from wmtp_assets_tests.orchestration.processes import (
    UNFINISHED,
    left_of_session,
    shell_status,
    started,
    statuses,
)
from wmtp_assets_tests.orchestration.tiny import Tiny

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
LONGEST = 240  # seconds: a hang is what is looked for
MAKE = ("materialize", "group:humaneval")
SPLIT = "datasets/humaneval_test"


@pytest.fixture(autouse=True)
def sighup_counts() -> Iterator[None]:
    """Commands that are started here take SIGHUP, although the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="module")
def sound(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """A world with everything made, to copy: asking its gate takes longer than any test of it."""
    return tiny.whole(project, tmp_path_factory.mktemp("signals") / "world")


@pytest.fixture
def empty_world(project: Project, tmp_path: Path) -> Tiny:
    catalog = small(project.catalog, "optional")
    return tiny.empty(tmp_path / "world", catalog, Path(str(project.hub_spec)))


def strike(world: Tiny, arguments: tuple[str, ...], delay: float, *numbers: int) -> bool:
    """Sends the signals `delay` seconds after the start; False where the command had ended."""
    process = started(world, *arguments)
    where = f"{arguments} after {delay:.3f} s"
    try:
        time.sleep(delay)
        if stopped(process):
            require_end(process, arguments, where, *numbers)
            return True
        said = process.communicate()
        assert process.returncode == 0, (where, said)
        return False
    finally:
        process.kill()
        process.communicate()


def stopped(process: subprocess.Popen[str]) -> bool:
    """Stops a process, so that it does not end while it is about to be sent a signal; False where
    it has ended."""
    process.send_signal(signal.SIGSTOP)
    if process.returncode is not None:
        return False
    found = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    return found is not None and found.si_code == os.CLD_STOPPED


def require_end(
    process: subprocess.Popen[str], arguments: tuple[str, ...], where: str, *numbers: int
) -> None:
    """Sends the signals to a process, which may be stopped: it ends, and says what it should."""
    first, *rest = numbers
    for number in (first, signal.SIGCONT, *rest):
        process.send_signal(number)
    said, complained = process.communicate(timeout=LONGEST)
    # A signal that is sent just before a command ends may come too late.
    expected = {128 + number for number in numbers} | ({0} if "The gate is" in said else set())
    assert shell_status(process) in expected, (where, said, complained)
    if process.returncode > 0:  # else it was told before Python had begun
        # Not always the last line: a step that ends meanwhile may still say so.
        over = arguments[0] in ("verify", "gate")
        then = "starts over.\n" if over else "continues where this one ended.\n"
        assert (
            f"the same command {then}" in complained or "nothing was done yet.\n" in complained
        ), (where, complained)
        assert complained.count("wmtp: interrupted by") == 1, (where, complained)
    if process.returncode != -signal.SIGINT:
        assert "Traceback" not in complained, where
    assert left_of_session(process.pid) == [], where


# A module of this package that is asked for is looked for, and not found for ten minutes.
IMPORTING = """
import sys, time

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "wmtp_assets.artifacts.gate":
            print("importing", file=sys.stderr, flush=True)
            time.sleep(600)

sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_command_while_it_imports(empty_world: Tiny, number: int) -> None:
    process = started(empty_world, "gate", before=IMPORTING)
    try:
        assert process.stderr is not None
        assert "importing\n" in iter(process.stderr.readline, "")
        require_end(process, ("gate",), "importing", number)
        assert process.returncode == 128 + number
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_signals_at_random_moments_of_a_run_end_it_and_the_next_run_goes_on(
    empty_world: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    began = time.monotonic()
    process = started(empty_world, *MAKE)
    said = process.communicate()
    assert process.returncode == 0, said
    whole = time.monotonic() - began
    for number in SIGNALS:  # at other moments each time
        strike(empty_world, MAKE, chance.uniform(0.2, 0.95) * whole, number)
        for loss in ("versions", "published", "datasets_v2"):
            tiny.scrap(empty_world.storage / loss)
    strike(empty_world, MAKE, 0.6 * whole, signal.SIGINT, signal.SIGTERM, signal.SIGINT)
    assert UNFINISHED.isdisjoint(statuses(empty_world, monkeypatch)), f"seed {seed}"
    process = started(empty_world, *MAKE)
    said = process.communicate()
    assert (process.returncode, empty_world.opens()) == (0, True), (f"seed {seed}", said)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [("verify", "--deep"), ("gate",), ("mirror", "mirrored"), ("gc",), ("run", "--port", "0")],
)
def test_a_signal_ends_every_command(
    sound: Tiny, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    world = tiny.copied(sound, tmp_path / "world")
    chance = random.Random(11)
    for number in SIGNALS[:2]:
        strike(world, arguments, chance.uniform(0.5, 3), number)


@pytest.mark.slow
def test_the_history_shows_a_run_that_was_told_to_end_as_canceled(
    empty_world: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = started(empty_world, *MAKE)
    assert process.stderr is not None
    # A later step waits for what this process holds, so the run is at work until it is ended.
    with empty_world.project.store.stage(SPLIT):
        for line in process.stderr:
            if line.startswith("made "):
                break
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LONGEST)
    assert process.returncode == 143
    assert statuses(empty_world, monkeypatch) == ["CANCELED"]


def test_nohup_is_respected_and_other_signals_end_it_all_the_same(empty_world: Tiny) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does
    try:
        process = started(empty_world, "list")
        process.send_signal(signal.SIGHUP)
        assert process.wait() == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    process.communicate()
