"""The sample hub is complete, the same everywhere, and never half written."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wmtp_assets.hub.files import LOCK_NAME
from wmtp_assets.sample import (
    sample_is_complete,
    sample_revision,
    write_sample,
)
from wmtp_assets.sample.datasets import CODE_CONTESTS
from wmtp_assets.sample.evalsets import HUMANEVAL, MBPP
from wmtp_assets.sample.models import (
    MTP,
    SHEARED,
    STARLING,
)

# As `sha256sum` writes it. On any machine; only parquet files are missing, because pyarrow writes
# its version into them.
PINNED: dict[str, str] = {
    line[66:]: line[:64]
    for line in (Path(__file__).with_name("sample.sha256")).read_text().splitlines()
}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digests(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): _digest(path) for path in files}


def _writer(root: Path, seed: str = "0", before: str = "") -> subprocess.Popen[bytes]:
    program = before + (
        "import sys\nfrom pathlib import Path\nfrom wmtp_assets.sample import write_sample\n"
        "write_sample(Path(sys.argv[1]))\nassert 'torch' not in sys.modules\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, str(root)], env=os.environ | {"PYTHONHASHSEED": seed}
    )


def test_the_bytes_are_the_pinned_ones(hub: Path) -> None:
    """When this fails by intention, raise FORMAT_VERSION: everything built from it is stale."""
    assert {path: _digest(hub / path) for path in PINNED} == PINNED


def test_another_process_writes_the_same_bytes_and_never_imports_torch(
    hub: Path, tmp_path: Path
) -> None:
    assert _writer(tmp_path / "hub", seed="12345").wait() == 0
    assert _digests(tmp_path / "hub") == _digests(hub)


def test_the_lock_describes_every_file(hub: Path) -> None:
    repos = json.loads((hub / LOCK_NAME).read_text())["repos"]
    assert sorted(repos) == sorted([MTP, SHEARED, STARLING, CODE_CONTESTS, MBPP, HUMANEVAL])
    described = {
        f"{repo}/{path}": (file["size"], file["sha256"])
        for repo, locked in repos.items()
        for path, file in locked["files"].items()
    }
    found = {
        path: ((hub / path).stat().st_size, digest)
        for path, digest in _digests(hub).items()
        if path != LOCK_NAME
    }
    assert described == found
    for repo, locked in repos.items():
        assert locked["commit"] == sample_revision(), repo


def test_a_complete_sample_is_left_alone(hub: Path) -> None:
    before = (hub / LOCK_NAME).stat().st_ino
    write_sample(hub)
    assert (hub / LOCK_NAME).stat().st_ino == before


@pytest.mark.parametrize(
    "damage",
    [
        "file missing",
        "file cut short",
        "another byte",
        "a pipe for the lock",
        "lock of another version",
    ],
)
def test_a_damaged_sample_is_noticed_and_written_anew(tmp_path: Path, damage: str) -> None:
    write_sample(tmp_path)
    intact = _digests(tmp_path)
    tokenizer, lock = tmp_path / MTP / "tokenizer.model", tmp_path / LOCK_NAME
    if damage == "file missing":
        tokenizer.unlink()
    elif damage == "file cut short":
        tokenizer.write_bytes(tokenizer.read_bytes()[:-1])
    elif damage == "another byte":
        data = bytearray(tokenizer.read_bytes())
        data[len(data) // 2] ^= 1
        tokenizer.write_bytes(data)
    elif damage == "a pipe for the lock":
        lock.unlink()
        os.mkfifo(lock)
    else:
        lock.write_text(lock.read_text().replace(sample_revision(), "sample-1"))
    assert not sample_is_complete(tmp_path)
    write_sample(tmp_path)
    assert sample_is_complete(tmp_path)
    assert _digests(tmp_path) == intact


def test_what_a_killed_writer_left_is_not_taken_for_a_sample(hub: Path, tmp_path: Path) -> None:
    dies = (
        "import os, signal\nfrom wmtp_assets import sample\n"
        "sample.write_evalsets = lambda root: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert _writer(tmp_path, before=dies).wait() == -signal.SIGKILL
    assert list(tmp_path.glob(".writing*")), "it was at work"
    assert not sample_is_complete(tmp_path)
    write_sample(tmp_path)
    assert _digests(tmp_path) == _digests(hub)


def test_of_writers_at_the_same_time_none_disturbs_the_others(hub: Path, tmp_path: Path) -> None:
    writers = [_writer(tmp_path) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    assert _digests(tmp_path) == _digests(hub)


def test_other_files_beside_the_sample_are_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write_sample(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
