"""assets.lock: what it says, and that several processes may say it at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wmtp_assets.hub.files import RepoId
from wmtp_assets.hub.lock import Lock, LockError

REPO = RepoId("model", "org/name")
DIGEST = "ab" * 32


def test_a_lock_that_is_not_there_is_empty(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "assets.lock")
    assert lock.repos() == {}
    assert lock.commit(REPO) is None
    assert lock.file(REPO, "x") is None


def test_what_is_recorded_is_read_back(tmp_path: Path) -> None:
    Lock(tmp_path / "assets.lock").record(REPO, "1" * 40, "a/b.bin", 7, DIGEST)
    again = Lock(tmp_path / "assets.lock")
    assert again.commit(REPO) == "1" * 40
    held = again.file(REPO, "a/b.bin")
    assert held is not None
    assert (held.size, held.sha256) == (7, DIGEST)
    assert held.fetched_at.endswith("Z")


def test_recording_the_same_again_changes_not_a_byte(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "assets.lock")
    lock.record(REPO, "1" * 40, "b", 7, DIGEST)
    lock.record(REPO, "1" * 40, "a", 7, DIGEST)
    before = lock.path.read_bytes()
    lock.record(REPO, "1" * 40, "b", 7, DIGEST)
    assert lock.path.read_bytes() == before
    assert list(json.loads(before)["repos"]["models/org/name"]["files"]) == ["a", "b"]


def test_a_new_commit_forgets_the_old_ones_files(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "assets.lock")
    lock.record(REPO, "1" * 40, "old", 7, DIGEST)
    lock.record(REPO, "2" * 40, "new", 7, DIGEST)
    assert lock.commit(REPO) == "2" * 40
    assert lock.file(REPO, "old") is None


@pytest.mark.parametrize("text", ["", "{}", '{"format": 2, "repos": {}}', '{"format": 1}', "[]"])
def test_a_lock_that_is_not_ours_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "assets.lock").write_text(text)
    with pytest.raises(LockError, match="cannot be read"):
        Lock(tmp_path / "assets.lock").repos()


def test_processes_that_record_at_once_lose_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from wmtp_assets.hub.lock import Lock;"
        "from wmtp_assets.hub.files import RepoId; who = sys.argv[2]\n"
        "for n in range(20):\n"
        "    Lock(Path(sys.argv[1])).record("
        "RepoId('model', 'org/name'), '1' * 40, f'{who}-{n}', n, 'ab' * 32)"
    )
    path = tmp_path / "assets.lock"
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(who)]) for who in range(3)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    held = Lock(path).repo(REPO)
    assert held is not None
    assert len(held.files) == 60
