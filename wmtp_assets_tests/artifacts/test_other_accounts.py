"""A storage that this account may read or write in part: an answer in words, and a remedy."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.cli import main
from wmtp_assets_tests.orchestration import tiny
from wmtp_assets_tests.orchestration.test_converging import entered
from wmtp_assets_tests.orchestration.tiny import Tiny
from wmtp_assets_tests.storage.accounts import hand_over, unprivileged

SPLIT = "datasets/humaneval_test"
READING = (["gate"], ["verify"], ["history", SPLIT])
PLACES = (
    ".",
    "versions",
    f"versions/{SPLIT}",
    "published",
    f"published/{SPLIT}",
    "datasets_v2/humaneval/processed",
    "upstream",
    ".locks",
)


def commands(world: Tiny) -> list[list[str]]:
    """Commands that read, and some that write; the rollback is to what is published."""
    published = world.project.store.publication(SPLIT)
    assert published is not None
    return [*READING, ["gc"], ["rollback", SPLIT, published.version]]


def said(command: list[str]) -> tuple[int, str]:
    """The exit status of a command, and what it printed."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        return main(command), text.getvalue()


@pytest.fixture
def world(project: Project, memory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tiny]:
    world = entered(tiny.rows(project, memory / "world"), monkeypatch)
    assert said(["gate"])[0] == 0
    for command in commands(world):  # and so everything is imported
        said(command)
    hand_over(memory)
    yield world
    for path in (world.storage, *world.storage.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


def test_what_this_account_may_not_read_is_named_with_what_to_do(world: Tiny) -> None:
    asked = commands(world)
    for name in PLACES:
        place = world.storage / name
        place.chmod(0)
        answers = unprivileged(lambda: [said(command) for command in asked])
        place.chmod(0o755)
        for command, (status, text) in zip(asked, answers, strict=True):
            where = (name, command, text)
            assert "unexpected" not in text, where
            assert "[Errno" not in text, where
            assert "move it away" not in text, where
            if status == 2:
                assert "Permission denied (EACCES)" in text, where
                assert "give this user the right to" in text or command[0] == "rollback", where
        if name not in ("upstream", ".locks"):
            assert answers[0][0] != 0, f"the gate is open without {name}"
        assert unprivileged(lambda: said(["gate"])[0]) == 0, f"the remedy for {name}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another account")
def test_a_storage_of_another_account_is_read_and_not_written(world: Tiny) -> None:
    for path in (world.storage, *world.storage.rglob("*")):
        os.chown(path, 0, 0, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    asked = [*READING, commands(world)[-1]]
    before = {path: path.lstat().st_mtime_ns for path in world.storage.rglob("*")}
    answers = unprivileged(lambda: [said(command) for command in asked])
    for command, (status, text) in zip(asked, answers, strict=True):
        assert status == (0 if command in READING else 2), text
        assert command in READING or "Permission denied (EACCES)" in text, text
    assert {path: path.lstat().st_mtime_ns for path in world.storage.rglob("*")} == before
