"""Bytes that are still arriving: what survives, and what is not believed."""

from __future__ import annotations

import errno
import fcntl
import os
import random
from pathlib import Path

import pytest

from wmtp_assets.hub.partial import Identity, Partial
from wmtp_assets.storage import StorageError

WHOSE = Identity(commit="1" * 40, etag='"e"', size=1000, digest="d" * 64)
DATA = random.Random(3).randbytes(1000)


def put(stem: Path, *spans: tuple[int, int]) -> None:
    with Partial.claim(stem, print) as partial:
        partial.begin(WHOSE)
        for start, end in spans:
            partial.write(start, memoryview(DATA[start:end]))


def missing(stem: Path, identity: Identity = WHOSE) -> tuple[str | None, list[tuple[int, int]]]:
    with Partial.claim(stem, print) as partial:
        why = partial.begin(identity)
        return why, partial.missing()


@pytest.fixture
def stem(tmp_path: Path) -> Path:
    return tmp_path / ".partial" / "models" / "org" / "name" / "x"


def test_blocks_in_any_order_are_kept_for_the_next_process(stem: Path) -> None:
    put(stem, (600, 700), (0, 100), (100, 250))
    assert missing(stem) == (None, [(250, 600), (700, 1000)])


def test_a_torn_last_line_is_not_believed(stem: Path) -> None:
    put(stem, (0, 100))
    journal = stem.with_name("x.journal")
    with journal.open("ab") as handle:
        handle.write(b"100 200 abcd")
    assert missing(stem) == (None, [(100, 1000)])
    put(stem, (100, 150))
    assert missing(stem) == (None, [(150, 1000)])


@pytest.mark.parametrize("loss", ["flipped", "zeroed", "cut off"])
def test_a_block_whose_bytes_did_not_reach_the_disk_is_fetched_again(stem: Path, loss: str) -> None:
    put(stem, (0, 300), (300, 400), (400, 500))
    data = stem.with_name("x.bytes")
    held = bytearray(data.read_bytes())
    if loss == "flipped":
        held[350] ^= 4
    elif loss == "zeroed":
        held[300:400] = bytes(100)
    else:
        del held[350:]
    data.write_bytes(held)
    expected = [(300, 1000)] if loss == "cut off" else [(300, 400), (500, 1000)]
    assert missing(stem) == (None, expected)


@pytest.mark.parametrize(
    ("identity", "named"),
    [
        (Identity("2" * 40, '"e"', 1000, "d" * 64), "commit"),
        (Identity("1" * 40, '"f"', 1000, "d" * 64), "etag"),
        (Identity("1" * 40, '"e"', 999, "d" * 64), "size"),
        (Identity("1" * 40, '"e"', 1000, "e" * 64), "digest"),
    ],
    ids=["commit", "etag", "size", "digest"],
)
def test_another_files_bytes_are_dropped_and_what_changed_is_named(
    stem: Path, identity: Identity, named: str
) -> None:
    put(stem, (0, 300))
    why, left = missing(stem, identity)
    assert why is not None
    assert f"upstream's {named} changed" in why
    assert left == [(0, identity.size)]


@pytest.mark.parametrize("first", [b"", b"\n", b"not json\n", b"[]\n", b'{"commit": "1"}\n'])
def test_a_journal_that_cannot_be_read_keeps_nothing(stem: Path, first: bytes) -> None:
    put(stem, (0, 300))
    stem.with_name("x.journal").write_bytes(first + b"0 300 00000000\n")
    _, left = missing(stem)
    assert left == [(0, 1000)]


def test_an_empty_partial_leaves_nothing_behind(stem: Path, tmp_path: Path) -> None:
    put(stem)
    assert list(tmp_path.iterdir()) == []


def test_a_published_file_has_its_mode_by_the_umask_and_leaves_nothing_behind(
    stem: Path, tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        with Partial.claim(stem, print) as partial:
            partial.begin(WHOSE)
            partial.write(0, memoryview(DATA))
            partial.publish(tmp_path / "models" / "x.bin")
    finally:
        os.umask(before)
    assert (tmp_path / "models" / "x.bin").read_bytes() == DATA
    assert (tmp_path / "models" / "x.bin").stat().st_mode & 0o777 == 0o640
    assert not (tmp_path / ".partial").exists()


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_named_with_what_to_do(
    code: int, stem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match="has no locks") as caught:
        put(stem, (0, 100))
    assert str(stem) in str(caught.value)
    assert "WMTP_STORAGE" in str(caught.value)
    monkeypatch.undo()
    put(stem, (0, 100))
