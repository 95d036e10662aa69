"""What is removed of the folders that killed processes have left, and what is not."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from wmtp_assets.execution import privileges
from wmtp_assets.storage import held_folder
from wmtp_assets.storage.held_folder import HeldFolder

PREFIX = "wmtp-held-"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_a_folder_that_nobody_holds_is_removed_and_nothing_else(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "kept").mkdir(parents=True)
    left = tmp_path / f"{PREFIX}left"
    (left / "worker/1").mkdir(parents=True)
    (left / "worker/1/program.py").write_text("")
    (left / "worker/link").symlink_to(outside)
    (tmp_path / f"{PREFIX}link").symlink_to(outside)
    (tmp_path / f"{PREFIX}file").write_text("")
    (tmp_path / "wmtp-of-another-sort").mkdir()
    held = HeldFolder(PREFIX)
    (held.path / "worker").mkdir()
    other = HeldFolder(PREFIX)
    assert {path.name for path in tmp_path.iterdir()} == {
        "outside",
        f"{PREFIX}link",
        f"{PREFIX}file",
        "wmtp-of-another-sort",
        held.path.name,
        other.path.name,
    }
    assert (outside / "kept").is_dir()
    assert (held.path / "worker").is_dir()
    for one in (held, other):
        one.remove()
        one.remove()  # as a signal does that comes while it ends
        assert not one.path.exists()


@pytest.mark.skipif(
    os.geteuid() != 0 or not privileges.has(privileges.CHOWN),
    reason="only root can make a folder another user's",
)
def test_a_folder_of_another_user_stays(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}other").mkdir()
    os.chown(tmp_path / f"{PREFIX}other", 12345, 12345)
    HeldFolder(PREFIX).remove()
    assert (tmp_path / f"{PREFIX}other").is_dir()


def test_a_new_folder_that_was_taken_for_one_that_was_left_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def mkdtemp(prefix: str, dir: Path) -> str:
        made.append(dir / f"{prefix}{len(made)}")
        made[-1].mkdir()
        if len(made) == 1:  # another process begins in between
            held_folder._remove_what_was_left(tmp_path, PREFIX)
        return str(made[-1])

    monkeypatch.setattr(held_folder.tempfile, "mkdtemp", mkdtemp)
    folder = HeldFolder(PREFIX)
    assert folder.path == made[1]
    assert not made[0].exists()
    folder.remove()


def test_processes_at_once_do_not_take_each_others_folders(
    tmp_path: Path,
) -> None:
    script = (
        "from wmtp_assets.storage.held_folder import HeldFolder\n"
        "for _ in range(100):\n"
        "    folder = HeldFolder('wmtp-held-')\n"
        "    (folder.path / 'worker').mkdir()\n"
        "    (folder.path / 'worker').rmdir()\n"
        "    folder.remove()\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    every = [subprocess.Popen([sys.executable, "-c", script], env=environment) for _ in range(3)]
    assert [one.wait() for one in every] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == []
