"""Bounds, and what watches those that the kernel does not."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from wmtp_assets.execution.limits import (
    Limits,
    clear,
    held_in,
    mapped_bytes,
    overstepped,
    resident_bytes,
)

MANY = 100_000
"""Threads: libraries that tests before have used may have started hundreds."""


def test_bounds_are_above_zero() -> None:
    with pytest.raises(ValueError, match="threads must be above 0, and is 0"):
        Limits(threads=0)
    with pytest.raises(ValueError, match="cpu_seconds must be above 0, and is nan"):
        Limits(cpu_seconds=float("nan"))


def test_the_clock_allows_twice_the_time_and_a_second() -> None:
    assert Limits(cpu_seconds=3).wall == 7
    assert Limits(cpu_seconds=3, wall_seconds=4).wall == 4


def test_what_is_written_is_watched(tmp_path: Path) -> None:
    limits = Limits(scratch_files=5, scratch_bytes=1 << 20, threads=MANY)
    me = os.getpid()
    assert overstepped(me, tmp_path, limits) == ""
    (tmp_path / "sparse").write_bytes(b"")
    os.truncate(tmp_path / "sparse", 1 << 30)
    assert overstepped(me, tmp_path, limits) == ""  # holds nothing
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/large").write_bytes(b"x" * (2 << 20))
    assert overstepped(me, tmp_path, limits) == "more than 1048576 bytes in its folder"
    for name in "abc":
        (tmp_path / "folder" / name).touch()
    assert overstepped(me, tmp_path, limits) == "more than 5 files"
    assert held_in(tmp_path, most=2)[1] == 3


def test_a_folder_too_deep_to_be_counted_is_not_taken_for_an_empty_one(in_memory: Path) -> None:
    before = Path.cwd()
    try:
        os.chdir(in_memory)
        for _ in range(17):
            Path("d" * 250).mkdir()
            os.chdir("d" * 250)
        Path("hidden").write_bytes(b"x" * (2 << 20))
    finally:
        os.chdir(before)
    said = overstepped(os.getpid(), in_memory, Limits(scratch_bytes=1 << 20, threads=MANY))
    assert said == "a folder that cannot be counted (File name too long)"
    clear(in_memory)
    in_memory.mkdir()


def test_threads_are_watched() -> None:
    done = threading.Event()
    threads = [threading.Thread(target=done.wait) for _ in range(9)]
    for one in threads:
        one.start()
    try:
        few = replace(Limits(), threads=5)
        assert overstepped(os.getpid(), None, few) == "more than 5 threads"
        assert overstepped(os.getpid(), None, replace(few, threads=MANY)) == ""
    finally:
        done.set()


def test_memory_is_read_from_proc() -> None:
    assert 0 < resident_bytes(os.getpid()) < mapped_bytes()
    assert resident_bytes(2**22 + 1) == 0
    assert overstepped(2**22 + 1, None, Limits()) == ""


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder on a file system in memory, where a thousand folders take no time."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)


def test_a_folder_is_removed_however_deep_and_whatever_its_permissions(in_memory: Path) -> None:
    outside = in_memory / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    folder = in_memory / "folder"
    folder.mkdir()
    (folder / "link").symlink_to(outside)
    before = Path.cwd()
    try:
        os.chdir(folder)
        for _ in range(1500):  # deeper than Python recurses, longer than a path may be
            Path("d").mkdir()
            os.chdir("d")
            Path("file").touch()
    finally:
        os.chdir(before)
    (folder / "closed/inner").mkdir(parents=True)
    (folder / "closed").chmod(0)
    clear(folder)
    assert not folder.exists()
    assert (outside / "kept").exists()
