"""A real kill -9 of a real process, again and again, and two processes after one file."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wmtp_assets.hub.files import RepoId
from wmtp_assets.hub.lock import Lock
from wmtp_assets_tests.hub.loopback import LoopbackHub
from wmtp_assets_tests.living import content

REPO = RepoId("dataset", "org/rows")
PATH = "data/train.parquet"
KILLS = 10
AHEAD = 160 << 10  # bytes; each of four connections may hold back a block, of a 1,024th of the file

#: Fetches PATH and prints what came of it; argument 1 is the storage, 2 "many" for small pieces.
CLIENT = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from wmtp_assets.hub import transfer
from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.source import open_hub

if sys.argv[2] == "many":
    transfer._PARALLEL_FROM, transfer._PIECE = 1 << 20, 1 << 20
    transfer._JUDGE_AFTER, transfer._FAST = 0.0, float("inf")
storage = Path(sys.argv[1])
(done,) = fetch(
    open_hub(None), RepoId("dataset", "org/rows"), "main", [WantedFile("data/train.parquet")],
    storage / "upstream", Lock(storage / "assets.lock"), lambda line: None,
)
print(json.dumps(asdict(done)))
"""


def start(storage: Path, pieces: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(storage), pieces],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def journalled(storage: Path) -> int:
    """How many bytes the journal on the disk vouches for just now."""
    folder = storage / "upstream" / ".partial" / REPO.folder
    total = 0
    for journal in folder.glob("*.journal") if folder.is_dir() else ():
        for line in (content(journal) or b"").split(b"\n")[1:-1]:
            fields = line.split()
            total += int(fields[1]) if len(fields) == 3 else 0
    return total


@pytest.mark.slow
@pytest.mark.parametrize("pieces", ["one", "many"])
def test_ten_kills_over_one_file_cost_at_most_a_tenth_more_bytes(
    pieces: str, loopback: LoopbackHub, tmp_path: Path
) -> None:
    data = random.Random(7).randbytes(24_000_000)
    loopback.world.commit("dataset", "org/rows", {PATH: data})
    # The line stands still a little after the bytes at which the client is killed: else as many
    # would pile up in the kernel's buffers as a busy machine lets the client wait.
    world, loopback.world.chunk = loopback.world, 32 << 10
    target, share = tmp_path / "upstream" / REPO.folder / PATH, len(data) // (KILLS + 1)
    for _ in range(KILLS):
        enough, world.limit = journalled(tmp_path) + share, world.sent + share + AHEAD
        client = start(tmp_path, pieces)
        while journalled(tmp_path) < enough:
            assert client.poll() is None
            time.sleep(0.002)
        client.send_signal(signal.SIGKILL)
        assert client.wait() == -signal.SIGKILL
        assert not target.exists(), "nothing appears under the name before it is whole"

    world.limit = None
    client = start(tmp_path, pieces)
    out, _ = client.communicate()
    done = json.loads(out)
    assert target.read_bytes() == data
    assert done["resumed_from"] >= len(data) * 0.85
    assert done["received"] == len(data) - done["resumed_from"]
    assert world.sent <= 1.1 * len(data), f"{world.sent / len(data):.3f} times the file's bytes"
    assert sorted(p.name for p in (tmp_path / "upstream").rglob("*") if p.is_file()) == [
        "train.parquet"
    ]


def test_two_processes_after_one_file_fetch_it_once(loopback: LoopbackHub, tmp_path: Path) -> None:
    data = random.Random(8).randbytes(3_000_000)
    loopback.world.commit("dataset", "org/rows", {PATH: data})
    loopback.world.chunk, loopback.world.pace = 64 << 10, 0.01
    clients = [start(tmp_path, "one") for _ in range(2)]
    outcomes = [json.loads(client.communicate()[0]) for client in clients]
    assert sorted(outcome["received"] for outcome in outcomes) == [0, len(data)]
    assert sum(seen.sent for seen in loopback.world.bodies(PATH)) == len(data)
    assert (tmp_path / "upstream" / REPO.folder / PATH).read_bytes() == data
    assert Lock(tmp_path / "assets.lock").file(REPO, PATH) is not None
