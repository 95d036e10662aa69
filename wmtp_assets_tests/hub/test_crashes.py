"""A fetch that dies, or whose disk fails, at every single operation on the disk."""

from __future__ import annotations

import errno
import os
import random
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.source import open_hub
from wmtp_assets.storage.errors import StorageError
from wmtp_assets_tests.hub.conftest import QUICK
from wmtp_assets_tests.storage.faults import FaultyDisk, Killed

REPO = RepoId("model", "org/name")
OLD = random.Random(1).randbytes(50_000)
NEW = random.Random(2).randbytes(50_000)
PATH = "sub/weights.bin"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A mirror that has the new bytes, on record."""
    root = tmp_path / "source"
    file = root / REPO.folder / PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(NEW)
    fetch(
        open_hub(str(root), QUICK), REPO, "main", [WantedFile(PATH)], tmp_path / "first",
        Lock(root / "assets.lock"), print,
    )  # fmt: skip
    return root


def take(source: Path, storage: Path) -> None:
    hub = open_hub(str(source), QUICK)
    lock = Lock(storage / "assets.lock")
    fetch(hub, REPO, "main", [WantedFile(PATH)], storage / "upstream", lock, lambda line: None)


def world(storage: Path, before: bytes | None) -> Path:
    shutil.rmtree(storage, ignore_errors=True)
    target = storage / "upstream" / REPO.folder / PATH
    if before is not None:
        target.parent.mkdir(parents=True)
        target.write_bytes(before)
    return target


@pytest.mark.parametrize("before", [None, OLD], ids=["nothing there", "old bytes there"])
@pytest.mark.parametrize(
    ("code", "for_good"),
    [(None, False), (errno.EIO, False), (errno.ENOSPC, True)],
    ids=["killed", "EIO once", "disk full for good"],
)
def test_a_fetch_that_fails_anywhere_leaves_old_or_new_and_the_next_one_converges(
    before: bytes | None, code: int | None, for_good: bool, source: Path, tmp_path: Path
) -> None:
    storage = tmp_path / "storage"
    struck = 0
    for at in range(1, 200):
        target = world(storage, before)
        fails = Killed if code is None else StorageError
        with FaultyDisk(at, code, for_good=for_good) as disk, suppress(fails):
            take(source, storage)
        standing = target.read_bytes() if target.exists() else None
        assert standing in (before, NEW), f"operation {at}: {disk.log[-1]}"
        if not disk.struck:
            break
        struck += 1
        with FaultyDisk():  # spares the second fetch its waits for the device
            take(source, storage)
        assert target.read_bytes() == NEW
        left = {p.relative_to(storage).as_posix() for p in storage.rglob("*") if p.is_file()}
        assert left - {p for p in left if p.startswith(".locks/") or "/.tmp-" in f"/{p}"} == {
            "assets.lock",
            f"upstream/{REPO.folder}/{PATH}",
        }, f"operation {at}"
    assert struck >= 15
    assert not disk.struck, "the sweep came to an end"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_while_bytes_arrive_keeps_what_it_took(
    code: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = tmp_path / "storage"
    target = world(storage, OLD)
    real, left = os.pwrite, [1]

    def fails_the_second_time(fd: int, data: memoryview, offset: int) -> int:
        if not left:
            raise OSError(code, os.strerror(code))
        left.pop()
        return real(fd, data[:20_000], offset)

    monkeypatch.setattr(os, "pwrite", fails_the_second_time)
    with pytest.raises(StorageError, match=os.strerror(code)) as caught:
        take(source, storage)
    assert "What to do" in str(caught.value)
    assert target.read_bytes() == OLD
    monkeypatch.undo()
    take(source, storage)
    assert target.read_bytes() == NEW
