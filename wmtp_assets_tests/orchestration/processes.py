"""Real `wmtp` processes, each in a session of its own, so that what it leaves behind is found."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import dagster as dg
import pytest

from wmtp_assets_tests.orchestration.tiny import BIN, Tiny

UNFINISHED = {"QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"}


# As bin/wmtp does, but that a busy machine may take its time to write the end into the history.
WMTP = """
import sys
from wmtp_assets import interrupts
interrupts._PATIENCE_SECONDS = 400.0
from wmtp_assets.cli import main
sys.argv[0] = "wmtp"
sys.exit(main())
"""


def started(world: Tiny, *arguments: str, before: str = "", **more: str) -> subprocess.Popen[str]:
    """`wmtp` with these arguments, in the world's folder; the process begins with the Python code
    `before`, and has `more` in its environment."""
    return subprocess.Popen(
        [BIN / "python", "-c", before + WMTP, *arguments],
        cwd=world.folder,
        env=world.environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def shell_status(process: subprocess.Popen[str]) -> int:
    """The exit status that a shell would report."""
    code = process.returncode
    return code if code >= 0 else 128 - code


def left_of_session(leader: int) -> list[str]:
    """The command lines of processes that live on in a session; the killed get time to die."""
    deadline = time.monotonic() + 240
    while (found := _in_session(leader)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _in_session(leader: int) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session, *_ = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(session) == leader and state != "Z":
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except (OSError, ValueError):
            continue
    return found


def statuses(world: Tiny, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What Dagster's history says of every run of a world, the last first."""
    home = world.folder / "home"
    if not (home / "dagster.yaml").is_file():
        return []
    here = Path.cwd()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    os.chdir(home)
    try:
        with dg.DagsterInstance.get() as instance:
            return [run.status.value for run in instance.get_runs()]
    finally:
        os.chdir(here)
