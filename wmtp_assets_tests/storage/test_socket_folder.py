"""Folders for Unix sockets below temporary folders of every length, and of any name."""

from __future__ import annotations

import os
import re
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from wmtp_assets.storage.socket_folder import MOST_BYTES, SocketPathError, socket_folder

PREFIX = "wmtp-socket-test-"
NAME = "/tmp01234567"  # of a socket in the folder
OWN = len(f"/{PREFIX}01234567{NAME}")


def folder_of(length: int, parent: Path, letter: str = "a") -> Path:
    """A new folder whose path has so many bytes."""
    left = length - len(os.fsencode(parent)) - 1
    size = len(letter.encode())
    assert left >= size
    folder = parent / (letter * (left // size) + "a" * (left % size))
    folder.mkdir()
    assert len(os.fsencode(folder)) == length
    return folder


@pytest.fixture
def short() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wmtp-test-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.mark.parametrize(("length", "links"), [(-1, 0), (0, 0), (1, 1), (90, 1)])
@pytest.mark.parametrize("letter", ["a", "é", "#"])
def test_a_socket_can_be_made_and_nothing_is_left(
    short: Path, monkeypatch: pytest.MonkeyPatch, length: int, links: int, letter: str
) -> None:
    """`length` is that of the socket's path, from the longest that there may be."""
    (short / "links").mkdir()
    parent = folder_of(MOST_BYTES - OWN + length, short, letter)
    monkeypatch.setattr(tempfile, "tempdir", str(parent))
    with socket_folder(PREFIX, len(NAME), short=[short / "missing", short / "links"]) as folder:
        address = f"{folder}{NAME}"
        assert re.fullmatch(r"[A-Za-z0-9/._-]*", address), "gRPC takes others for something else"
        assert len(list((short / "links").iterdir())) == (links if letter == "a" else 1)
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(address)
            server.listen()
            client.connect(address)
        (real,) = parent.iterdir()
        assert stat.S_ISSOCK((real / NAME[1:]).lstat().st_mode), "on the disk that was chosen"
        for held in (real, *(short / "links").iterdir()):
            assert stat.S_IMODE(held.stat().st_mode) == 0o700
    assert list(parent.iterdir()) == list((short / "links").iterdir()) == []


def test_where_no_link_can_be_made_the_error_says_how_long_the_path_may_be(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_long = folder_of(MOST_BYTES - OWN + 1, short, "é")
    monkeypatch.setattr(tempfile, "tempdir", str(too_long))
    with (
        pytest.raises(SocketPathError) as refused,
        socket_folder(PREFIX, len(NAME), short=[short / "missing"]),
    ):
        pass
    assert list(too_long.iterdir()) == []
    said = str(refused.value)
    assert f"Found: {MOST_BYTES - OWN + 1} bytes" in said
    assert f"Where: {too_long}" in said
    (most,) = re.findall(r"at most (\d+) bytes", said)
    assert "let TMPDIR name a folder with such a path" in said
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(folder_of(int(most), short)))
    with socket_folder(PREFIX, len(NAME), short=[]) as folder:
        assert folder.parent == Path(os.environ["TMPDIR"])
    (short / "missing").mkdir()  # or have one of those be writable
    monkeypatch.setattr(tempfile, "tempdir", str(too_long))
    with socket_folder(PREFIX, len(NAME), short=[short / "missing"]) as folder:
        assert folder.is_symlink()
