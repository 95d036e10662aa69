"""A mirror for a cluster without a network."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import RepoId, WantedFile, WantedRepo
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.mirror import mirror
from wmtp_assets.hub.refusals import BlockedError, NoSuchRevisionError
from wmtp_assets.hub.source import open_hub
from wmtp_assets_tests.hub.conftest import QUICK
from wmtp_assets_tests.hub.loopback import LoopbackHub
from wmtp_assets_tests.hub.world import Fault

MODEL, ROWS = RepoId("model", "org/model"), RepoId("dataset", "org/rows")
FILES = {
    MODEL: {"config.json": b"{}", "sub/weights.bin": random.Random(1).randbytes(70_000)},
    ROWS: {"data/train.parquet": random.Random(2).randbytes(50_000)},
}


@pytest.fixture
def wanted(loopback: LoopbackHub) -> list[WantedRepo]:
    return [
        WantedRepo(
            repo,
            loopback.world.commit(repo.kind, repo.name, files | {"not/taken.bin": b"huge"}),
            tuple(WantedFile(path) for path in files),
        )
        for repo, files in FILES.items()
    ]


def test_a_mirror_verifies_with_sha256sum_and_serves_the_same_commit_and_bytes(
    wanted: list[WantedRepo], tmp_path: Path
) -> None:
    root = tmp_path / "mirror"
    mirror(open_hub(None, QUICK), wanted, root, print)
    subprocess.run(["sha256sum", "--strict", "--check", "SHA256SUMS"], cwd=root, check=True)
    held = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    assert held == {"assets.lock", "SHA256SUMS", ".locks/assets.lock"} | {
        f"{repo.folder}/{path}" for repo, files in FILES.items() for path in files
    }

    hub = open_hub(str(root), QUICK)
    into, lock = tmp_path / "upstream", Lock(tmp_path / "assets.lock")
    for one in wanted:
        assert hub.head(one.repo) == one.revision
        fetch(hub, one.repo, one.revision, one.files, into, lock, print)
        for path, data in FILES[one.repo].items():
            assert (into / one.repo.folder / path).read_bytes() == data
    theirs, ours = Lock(root / "assets.lock").repos(), lock.repos()
    assert {
        (folder, path, file.sha256)
        for folder, r in theirs.items()
        for path, file in r.files.items()
    } == {
        (folder, path, file.sha256) for folder, r in ours.items() for path, file in r.files.items()
    }
    assert {f: r.commit for f, r in theirs.items()} == {f: r.commit for f, r in ours.items()}


def test_a_mirror_that_was_interrupted_is_completed(
    wanted: list[WantedRepo], loopback: LoopbackHub, tmp_path: Path
) -> None:
    loopback.world.faults["data/train.parquet"] = Fault("403 bare")
    with pytest.raises(BlockedError):
        mirror(open_hub(None, QUICK), wanted, tmp_path / "m", print)
    subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path / "m", check=True)
    loopback.world.faults.clear()
    done = mirror(open_hub(None, QUICK), wanted, tmp_path / "m", print)
    assert [file.received for file in done[MODEL]] == [0, 0]
    assert [file.received for file in done[ROWS]] == [50_000]
    sums = (tmp_path / "m" / "SHA256SUMS").read_text()
    assert sums.count("\n") == 3


def test_a_mirror_answers_for_its_own_commit_only(wanted: list[WantedRepo], tmp_path: Path) -> None:
    mirror(open_hub(None, QUICK), wanted, tmp_path / "m", print)
    hub = open_hub(str(tmp_path / "m"), QUICK)
    with pytest.raises(NoSuchRevisionError, match="another commit"):
        hub.resolve(MODEL, "f" * 40)
    assert hub.resolve(MODEL, "main") == wanted[0].revision
