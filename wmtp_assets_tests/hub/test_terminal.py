"""What is drawn on a real terminal (a pty) while a file arrives, and what is not on any other."""

from __future__ import annotations

import os
import pty
import random
import re
import select
import subprocess
import sys
from collections.abc import Callable
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
def hub(loopback: LoopbackHub) -> LoopbackHub:
    loopback.world.commit("model", "org/name", {"weights.bin": WEIGHTS, "config.json": b"{}"})
    loopback.world.chunk = 64 << 10
    return loopback


def bars_of(drawn: str) -> list[re.Match[str]]:
    return [bar for frame in drawn.split("\r") if (bar := BAR.fullmatch(frame.strip()))]


def on_a_terminal(command: list[str], columns: int, seen: Callable[[str], None]) -> str:
    """Everything that a command writes to the terminal that it runs on.

    `seen` is called with it whenever there is more of it.
    """
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
    while select.select([ours], [], [], 300)[0]:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        drawn += piece
        seen(drawn.decode(errors="replace"))
    os.close(ours)
    assert child.wait() == 0, drawn.decode()
    return drawn.decode()


def test_a_bar_for_each_file_shows_rate_and_time_left_and_grows(
    hub: LoopbackHub, tmp_path: Path
) -> None:
    # The line stands still until what has arrived is drawn: so there is a bar for each step.
    world, step = hub.world, len(WEIGHTS) // 4
    world.limit = step

    def go_on(drawn: str) -> None:
        steps = {int(bar[1]) // 20 for bar in bars_of(drawn)}
        world.limit = None if len(steps) >= 3 else step * (len(steps) + 1)

    drawn = on_a_terminal([sys.executable, "-c", FETCH, str(tmp_path)], 110, go_on)
    frames = [frame for frame in drawn.split("\r") if frame.strip()]
    bars = bars_of(drawn)
    assert len(bars) >= 3, drawn
    shares = [int(bar[1]) for bar in bars]
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert [bar for bar in bars if bar[2] != "?"], "once a rate is known, so is the rest"
    assert all(len(frame) < 110 for frame in frames)
    assert drawn.endswith("\r"), "the line is given back"
    assert drawn.split("\r")[-2].strip() == "", "and cleared"


def test_nothing_is_drawn_where_there_is_no_terminal(hub: LoopbackHub, tmp_path: Path) -> None:
    hub.world.pace = 0.1  # so that it takes longer than what is too quick for a bar
    done = subprocess.run(
        [sys.executable, "-c", FETCH, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
