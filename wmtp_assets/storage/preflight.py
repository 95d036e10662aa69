"""Checks before a step starts: is there enough room, may we write, and is this a storage?"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from wmtp_assets.storage import disk
from wmtp_assets.storage.errors import StorageError, refused

# By name, all that this package puts into the root of a storage. The first ones are nobody else's:
# a folder that holds one of them is a storage.
MARKS = frozenset(
    {
        ".locks",
        "assets.lock",
        "datasets_local_small",
        "datasets_v2",
        "models_v2",
        "phase2_readiness.json",
    }
)
EXECUTED = "executed"
"""The folder of what executing rows gave, by contents; it outlives what is made from it."""
PARTS = "parts"
"""The folder of work that is done in parts elsewhere, and of what is finished of it."""
PULLING = ".pulling"
"""The folder of what `wmtp pull` has fetched so far; it goes when all of it is in its place."""
OWN = MARKS | {
    PULLING,
    ".set-aside",
    EXECUTED,
    "model.sig",
    PARTS,
    "published",
    "report.html",
    "report.ko.html",
    "sample",
    "upstream",
    "versions",
}

_NOTHING = {".gitignore", ".gitkeep", "lost+found"}  # what an empty folder may hold


def require_storage(root: Path, purpose: str) -> None:
    """Raises `StorageError` where `root` is a folder of something else: it holds files, and nothing
    by which a storage is known. Nothing, or an empty folder, may become one."""
    try:
        names = {path.name for path in root.iterdir()}
    except FileNotFoundError:
        return
    except NotADirectoryError:
        names = {root.name}
    except OSError as error:
        raise refused(error, root) from error
    foreign = sorted(name for name in names - OWN - _NOTHING if not disk.is_temporary(name))
    if foreign and names.isdisjoint(MARKS):
        raise StorageError(
            f"{purpose} writes into a storage, and this folder is not one",
            expected="a folder that `wmtp materialize` has made, or an empty one",
            found=f"other files, such as {', '.join(ascii(name) for name in foreign[:3])}",
            where=root,
            hint="set WMTP_STORAGE to the storage, or to a new folder.",
        )


def require_writable(folder: Path, purpose: str) -> Path:
    """`folder`, or what is there of the path to it. Raises `StorageError` when this user may not
    write there, or the file system is read-only."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir():
        raise StorageError(
            f"{purpose} would write into a folder, but this is not one",
            expected="a folder, or nothing",
            found="a file" if there.is_file() else "a device, pipe or socket",
            where=there,
            hint="name another folder (WMTP_STORAGE; for `wmtp mirror`, its argument).",
        )
    if not os.access(there, os.W_OK | os.X_OK):
        read_only = os.statvfs(there).f_flag & os.ST_RDONLY
        remedy = "remount the file system for writing"
        if not read_only:
            remedy = "give this user the right to write there"
        raise StorageError(
            f"{purpose} would write where this user may not",
            found="a file system that is read-only" if read_only else "no right to write",
            where=there,
            hint=f"{remedy}, or name another folder (WMTP_STORAGE; for `wmtp mirror`, its "
            "argument). `wmtp verify` and `wmtp gate` need not write.",
        )
    return there


def require_space(folder: Path, needed: int, purpose: str) -> int:
    """Bytes free for this user on `folder`'s file system, if they are at least `needed`.

    `folder` need not be there yet. Raises `StorageError` when there is not enough room, or when
    this user may not write there.
    """
    there = require_writable(folder, purpose)
    free = shutil.disk_usage(there).free
    if free < needed:
        raise StorageError(
            f"{purpose} needs more room than the disk has",
            expected=f"{gigabytes(needed)} free",
            found=f"{gigabytes(free)} free",
            where=there,
            hint="free some space (`wmtp gc` removes leftovers and old versions) or set "
            "WMTP_STORAGE to a larger disk.",
        )
    return free


def gigabytes(count: int) -> str:
    """A number of bytes as a person reads it, in powers of ten as disks are sold."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count} bytes"
