"""A file is replaced as a whole or not at all."""

from __future__ import annotations

import ast
import errno
import gc
import os
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import pytest

import wmtp_assets
from wmtp_assets.storage import StorageError, atomic_write, require_space, write_json
from wmtp_assets.storage.atomic import claimed
from wmtp_assets_tests.storage.faults import FaultyDisk


def test_readers_see_the_old_bytes_until_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with atomic_write(path) as stream:
        stream.write(b"new" * 1_000_000)
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" * 1_000_000
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_raises_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), atomic_write(path) as stream:
        stream.writelines([b"half" * 1_000_000, "text"])  # type: ignore[list-item]  # raises
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_failed_block_left_unwritten_reaches_no_other_file(tmp_path: Path) -> None:
    numbers = []

    def fail() -> None:
        with atomic_write(tmp_path / "failed") as stream:
            kept.append(stream)
            stream.write(b"still in the buffer")
            numbers.append(stream.fileno())
            raise ZeroDivisionError

    kept: list[BinaryIO] = []
    with ExitStack() as opened:
        for _ in range(20):  # another thread may take the number first
            with pytest.raises(ZeroDivisionError):
                fail()
            while True:
                other = opened.enter_context((tmp_path / "other").open("wb"))
                if other.fileno() >= numbers[-1]:
                    break
            if other.fileno() == numbers[-1]:
                break
        assert other.fileno() == numbers[-1], "it is free again, and a later file gets it"
        other.write(b"good")
        kept.clear()
        gc.collect()
    assert (tmp_path / "other").read_bytes() == b"good"


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_mode_follows_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_json(tmp_path / "file", {})
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES])
def test_a_refusing_disk_is_one_error_that_says_what_to_do(code: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for at in range(1, 6):  # create, write, fsync, rename; the fifth is the folder's fsync
        with FaultyDisk(at, code), pytest.raises(StorageError) as refusal:
            write_json(path, {"new": True})
        assert errno.errorcode[code] in str(refusal.value)
        assert refusal.value.hint
        assert path.read_bytes() == (b"old" if at < 5 else b'{\n  "new": true\n}\n')
        assert list(tmp_path.iterdir()) == [path]


def test_a_callers_own_mistake_is_not_called_the_disks(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "file"):
        (tmp_path / "absent").read_bytes()


def test_a_temporary_that_is_being_written_cannot_be_claimed(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "file"):
        (temporary,) = tmp_path.iterdir()
        with claimed(temporary) as orphan:
            assert not orphan
    temporary.write_bytes(b"left by the dead")
    with claimed(temporary) as orphan:
        assert orphan


def test_room_is_asked_for_before_a_step_starts(tmp_path: Path) -> None:
    assert require_space(tmp_path / "not" / "there" / "yet", 1, "Converting") > 1
    with pytest.raises(StorageError, match=r"Converting needs more room.*1000000000\.00 GB free"):
        require_space(tmp_path, 10**18, "Converting")


def test_a_file_in_place_of_the_storage_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"theirs")
    for folder in (tmp_path / "file", tmp_path / "file" / "not" / "there"):
        with pytest.raises(StorageError, match="Found: a file") as refused:
            require_space(folder, 1, "Converting")
        assert refused.value.where == tmp_path / "file"
        assert "right to write" not in str(refused.value)


ELSEWHERE = {
    "progress.py": "the terminal",
    "orchestration/home.py": "Dagster's home, which lies outside the storage",
    "orchestration/postgres.py": "Dagster's home, which lies outside the storage",
    "bucket/cache.py": "the cache, outside the storage: every byte of it is compared when read",
    "bucket/upkeep.py": "a bucket that is a folder",
    "cli/__init__.py": "/dev/null",
    "corpora/in_bucket.py": "the links of an open corpus, in the cache",
    "corpora/writer.py": "/dev/null",
    "corpora/worker_pool.py": "shared memory that has no name",
    "interrupts.py": "the standard error stream",
    "execution/confinement.py": "a folder of a program's own, in the judge's temporary one",
    "execution/library.py": "a pipe",
    "execution/limits.py": "a folder of a program's own, in the judge's temporary one",
    "execution/namespaces.py": "a file system in memory, that nobody else sees",
    "execution/fork_server.py": "a folder of a program's own, in the judge's temporary one",
    "execution/judge.py": "a temporary folder of its own",
    "execution/judging.py": "/dev/null",
    "hub/partial.py": "descriptors that `disk` opened",
    "mtp/checks.py": "a temporary folder of its own",
    "storage/disk.py": "the one module",
    "storage/held_folder.py": "a temporary folder of its own, and those of killed processes",
    "storage/socket_folder.py": "a link to a temporary folder of its own",
    "web/processes.py": "a temporary folder of its own",
    "web/session.py": "the page's token, in the runtime folder",
}
"""Modules that may change files by other means, and what they change."""


def test_every_change_of_the_disk_goes_through_one_module() -> None:
    """So that no link is followed, and the crash sweep sees each of them."""
    package = Path(wmtp_assets.__file__).parent
    found = {}
    for path in sorted(package.rglob("*.py")):
        lines = [
            f"{node.lineno} {ast.unparse(node.func)}"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and changes_files(node)
        ]
        if lines:
            found[path.relative_to(package).as_posix()] = lines
    assert {name: lines for name, lines in found.items() if name not in ELSEWHERE} == {}
    assert found.keys() >= ELSEWHERE.keys(), "an exception that is not needed any more"


METHODS = {
    *("rename", "symlink_to", "hardlink_to", "unlink", "rmdir", "mkdir", "touch", "chmod"),
    *("write_bytes", "write_text", "lchmod"),
}
OF_OS = {
    *("rename", "renames", "replace", "link", "symlink", "unlink", "remove", "removedirs"),
    *("rmdir", "mkdir", "makedirs", "mkfifo", "mknod", "chmod", "fchmod", "chown", "lchown"),
    *("truncate", "ftruncate", "fsync", "write", "writev", "pwrite", "utime", "setxattr"),
    *("sendfile", "copy_file_range", "posix_fallocate"),
}
OF_SHUTIL = {"rmtree", "move", "copy", "copy2", "copyfile", "copytree", "copymode", "chown"}


def changes_files(call: ast.Call) -> bool:
    """Whether a call changes, or opens for writing, a file by its name."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
    if name == "open":
        text = ast.unparse(call)
        modes = [
            node.value
            for argument in (*call.args, *(keyword.value for keyword in call.keywords))
            for node in ast.walk(argument)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        writes = any(set(mode) <= set("rwaxbt+") and set(mode) & set("wax+") for mode in modes)
        return writes or any(flag in text for flag in ("O_WRONLY", "O_RDWR", "O_CREAT"))
    if owner == "os":
        return name in OF_OS
    if owner == "shutil":
        return name in OF_SHUTIL
    if name == "replace" and owner not in ("dataclasses", ""):
        return len(call.args) == 1 and not call.keywords  # a text has two arguments
    return name in METHODS and owner not in ("disk", "")


@pytest.mark.parametrize(
    "text",
    [
        *("os.replace(a, b)", "path.rename(b)", "path.replace(b)", "open(path, 'w')"),
        *("path.open('ab')", "path.open(mode='r+b')", "os.open(path, os.O_RDWR)", "x.y.unlink()"),
        *("shutil.rmtree(folder)", "(a / b).write_text('x')", "Path(a).mkdir(parents=True)"),
        "os.open(path, flags | os.O_CREAT, 0o666)",
    ],
)
def test_a_change_by_other_means_would_be_seen(text: str) -> None:
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    assert changes_files(call)
