"""Every operation by which this package changes the disk, and nothing else.

The first part is one system call a function; a test that wants to see what a crash or a failing
disk does replaces these (`wmtp_assets_tests/storage/faults.py`). The second part is what the rest
of the package builds on, made of the first. Nobody else in `storage/` calls `os.replace` and its
like: a test reads the sources and says so.
"""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

STAGING = ".staging-"
TRASH = ".trash-"
TEMPORARY = ".tmp-"
LEFTOVERS = (STAGING, TRASH, TEMPORARY)
"""Name prefixes of what may be lying about after a crash, and what `gc` may take away."""


# One system call each.


def create(path: Path) -> int:
    """A new file, open for writing, its mode by the umask; `FileExistsError` if there is one."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def open_or_create(path: Path) -> int:
    """An existing or new file, open for reading and writing (for lock files)."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)


def write(descriptor: int, data: bytes | memoryview) -> int:
    """Writes some of `data`; how many bytes it was."""
    return os.write(descriptor, data)


def truncate(descriptor: int) -> None:
    """Empties an open file."""
    os.ftruncate(descriptor, 0)


def fsync(descriptor: int) -> None:
    """Waits until the file, or the folder's list of names, is on the device."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems have no fsync for folders, and say so with EINVAL.
        if error.errno != errno.EINVAL:
            raise


def rename(source: Path, target: Path) -> None:
    """Puts `source` under the name `target`, in place of what was there, in one step."""
    source.replace(target)


def symlink(target: str, path: Path) -> None:
    """A new link at `path` that says `target`."""
    path.symlink_to(target)


def unlink(path: Path) -> None:
    """Removes a file or a link."""
    path.unlink()


def mkdir(path: Path) -> None:
    """A new folder, its mode by the umask."""
    path.mkdir(mode=0o777)


def rmdir(path: Path) -> None:
    """Removes an empty folder."""
    path.rmdir()


def chmod(path: Path, mode: int) -> None:
    """Sets the mode of a file or folder."""
    path.chmod(mode)


# What is built of them.


def fresh(folder: Path, prefix: str) -> Path:
    """A name in `folder` that nobody has, for something that is not ready yet."""
    return folder / f"{prefix}{secrets.token_hex(6)}"


def sync(path: Path) -> None:
    """`fsync` for a closed file or a folder."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(path: Path) -> None:
    """`path` and what it needs above it, each safe from a power cut before the next is made."""
    if path.is_dir():
        return
    make_folders(path.parent)
    try:
        mkdir(path)
    except FileExistsError:
        if not path.is_dir():  # else another process was quicker, which is as good
            raise
    sync(path.parent)


def point(link: Path, target: str, scratch: Path) -> None:
    """Makes `link` say `target` in one step, whatever it said before, and makes that last.

    `scratch` is the folder for the temporary link: one that `gc` looks into, under a lock that the
    caller holds.
    """
    temporary = fresh(scratch, TEMPORARY)
    symlink(target, temporary)
    try:
        rename(temporary, link)
    except OSError:
        unlink(temporary)
        raise
    sync(link.parent)


def remove_tree(path: Path) -> None:
    """Removes a folder and what is in it, or a file or a link; follows no link."""
    if path.is_symlink() or not path.is_dir():
        unlink(path)
        return
    for entry in sorted(path.iterdir()):
        remove_tree(entry)
    rmdir(path)


def discard(path: Path) -> None:
    """Takes a whole folder out of sight in one step, then removes it.

    A crash in between leaves a `.trash-` folder, never half a version under a version's name.
    """
    trash = fresh(path.parent, TRASH)
    rename(path, trash)
    sync(path.parent)
    remove_tree(trash)
