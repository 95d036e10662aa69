"""Folders that other processes of ours change while they are looked through.

A run, a fetch, `gc`, a push and a reader may be at work on one storage at once, on several
machines too. Between the moment that a folder is listed and the moment that an entry is looked at,
that entry may have been published under another name, or removed. Here, what is gone by then is
left out, as if it had gone a moment earlier; whatever else the system says (no permission, a broken
disk) is raised.

For what is only listed, counted or tidied up. What must be there is never looked for in this way:
it is named by a receipt or another record, and is missing where it is not found.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})


def walk(folder: Path, *, denied: bool = False) -> Iterator[tuple[Path, list[str], list[str]]]:
    """As `os.walk`, from the top: each folder below `folder` with the names of the folders and of
    the other entries in it, both sorted. Follows no link; a link counts among the others.

    What is gone meanwhile is left out; nothing at all where `folder` is not there. The caller may
    remove names of folders from the list, and they are not entered. Raises `OSError`; with
    `denied`, what this user may not look into is left out too.
    """

    def stop(error: OSError) -> None:
        if denied and isinstance(error, PermissionError):
            return
        if not _is_gone(error, Path(os.fsdecode(error.filename or folder))):
            raise error

    for here, folders, others in os.walk(folder, onerror=stop):
        links = [name for name in folders if os.path.islink(os.path.join(here, name))]  # noqa: PTH114, PTH118
        folders[:] = sorted(set(folders) - set(links))
        yield Path(here), folders, sorted([*others, *links])


def files_below(folder: Path, *, denied: bool = False) -> Iterator[Path]:
    """Every entry below `folder` that is no folder, a link by itself; see `walk`."""
    for here, _, others in walk(folder, denied=denied):
        yield from (here / name for name in others)


def entries(folder: Path) -> list[Path]:
    """What is in a folder, sorted; nothing where the folder is not there (any more). Raises
    `OSError`."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        if _is_gone(error, folder):
            return []
        raise


def status(path: Path) -> os.stat_result | None:
    """The status of what is at `path`, a link by itself; None where nothing is there (any more).
    Raises `OSError`."""
    try:
        return path.lstat()
    except OSError as error:
        if _is_gone(error, path):
            return None
        raise


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; of what is gone, none. Follows no link. Raises
    `OSError`."""
    found = status(path)
    if found is None:
        return 0
    if not stat.S_ISDIR(found.st_mode):
        return found.st_size
    each = (status(one) for one in files_below(path))
    return sum(one.st_size for one in each if one is not None)


def _is_gone(error: OSError, path: Path) -> bool:
    """Whether `error` says that `path` is not there, or not a folder any more.

    A file server calls what another machine removed stale (ESTALE); asked for its name, it knows.
    """
    if error.errno in _GONE:
        return True
    return error.errno == errno.ESTALE and not os.path.lexists(path)
