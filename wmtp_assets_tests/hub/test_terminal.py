"""What is drawn on a real terminal (a pty) while a file arrives, and what is not on any other."""

from __future__ import annotations

import os
import pty
import random
import re
import select
import subprocess
import sys
from pathlib import Path

import pytest

from wmtp_assets_tests.hub.loopback import LoopbackHub

WEIGHTS = random.Random(4).randbytes(3_000_000)
FETCH = """
import sys
from pathlib import Path
from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.source import open_hub
root = Path(sys.argv[1])
wanted = [WantedFile("config.json"), WantedFile("weights.bin")]
fetch(open_hub(None), RepoId("model", "org/name"), "main", wanted, root, Lock(root / "lock"))
"""
BAR = re.compile(
    r"weights\.bin: +(\d+)%\|[^|]*\| [\d.]+[kM]?/3\.00M \[\d\d:\d\d<(\d\d:\d\d|\?), +"
    r"([\d.]+[kMG]?|\?)B/s\]"
)


@pytest.fixture
def slow(loopback: LoopbackHub) -> LoopbackHub:
    """A line on which 3 MB take about five seconds."""
    loopback.world.commit("model", "org/name", {"weights.bin": WEIGHTS, "config.json": b"{}"})
    loopback.world.pace, loopback.world.chunk = 0.1, 64 << 10
    return loopback


def on_a_terminal(command: list[str], columns: int) -> str:
    """Everything that a command writes to the terminal that it runs on."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        # `wmtp` silences the bars of libraries, and not its own.
        env=os.environ | {"COLUMNS": str(columns), "TQDM_DISABLE": "1"},
    )
    os.close(theirs)
    drawn = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        drawn += piece
    os.close(ours)
    assert child.wait() == 0, drawn.decode()
    return drawn.decode()


def test_a_bar_for_each_file_shows_rate_and_time_left_and_grows(
    slow: LoopbackHub, tmp_path: Path
) -> None:
    drawn = on_a_terminal([sys.executable, "-c", FETCH, str(tmp_path)], columns=110)
    frames = [frame for frame in drawn.split("\r") if frame.strip()]
    bars = [found for frame in frames if (found := BAR.fullmatch(frame.strip()))]
    assert len(bars) >= 3, drawn
    shares = [int(bar[1]) for bar in bars]
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert [bar for bar in bars if bar[2] != "?"], "once a rate is known, so is the rest"
    assert all(len(frame) < 110 for frame in frames)
    assert drawn.endswith("\r"), "the line is given back"
    assert drawn.split("\r")[-2].strip() == "", "and cleared"


def test_nothing_is_drawn_where_there_is_no_terminal(slow: LoopbackHub, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FETCH, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
