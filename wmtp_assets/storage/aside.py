"""What is in the way and was not made here: moved below `.set-aside/`, never deleted.

    .set-aside/<id>/<path below the root>    moved there by this package
    .set-aside/<path below the root>         moved there by a person, as a message proposed

`gc` lists them and removes none: the files are for their owner to keep or delete.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from wmtp_assets.storage import disk, walks

FOLDER = ".set-aside"
UNREADABLE = ".unreadable"
"""Suffix of a state file that was set aside beside its place; a number follows where that name is
in use."""


def set_aside(root: Path, path: Path) -> Path:
    """Moves what is at `path`, a link by itself, out of the way; where it is now.

    Raises `OSError`.
    """
    place = _new_place(root, path)
    disk.rename(path, place)
    disk.sync(place.parent)
    disk.sync(path.parent)
    return place


def keep_a_name(root: Path, path: Path) -> Path:
    """Gives a file a second name out of the way, so that it can be replaced in one step."""
    place = _new_place(root, path)
    disk.hardlink(path, place)
    disk.sync(place.parent)
    return place


def contents(root: Path) -> list[Path]:
    """What was moved out of the way, sorted: the entries of `.set-aside/`, and state files of a
    fetch that could not be read (`hub/aside.py`)."""
    found = [*walks.entries(root / FOLDER)]
    found += (path for path in walks.entries(root) if UNREADABLE in path.name)
    for here, folders, others in walks.walk(root / "upstream", denied=True):
        found += (here / name for name in (*folders, *others) if UNREADABLE in name)
    return sorted(found)


def command(root: Path, path: Path) -> str:
    """The shell command that moves `path` out of the way: it overwrites nothing."""
    place = root / FOLDER / path.relative_to(root)
    if not _printable(str(path.relative_to(root))):
        place = place.with_name("unprintable")
        if not _printable(str(place.relative_to(root))):
            place = root / FOLDER / "unprintable"
    number, free = 1, place
    while os.path.lexists(free):
        number += 1
        free = place.with_name(f"{place.name}.{number}")
    folder, target = quoted(free.parent), quoted(free)
    if _printable(str(path)):
        return f"mkdir -p {folder} && mv {quoted(path)} {target}"
    # A name that no terminal shows as it is: the entry is found by its inode.
    inode = path.lstat().st_ino
    above = path.parent
    while not _printable(str(above)):
        above = above.parent
    found = f"find {quoted(above)} -xdev -inum {inode} -prune -exec mv {{}} {target} \\;"
    return f"mkdir -p {folder} && {found}"


def quoted(path: Path) -> str:
    """A path, quoted for a shell."""
    return shlex.quote(str(path))


def _new_place(root: Path, path: Path) -> Path:
    place = disk.fresh(root / FOLDER, "") / path.relative_to(root)
    disk.make_folders(place.parent)
    return place


def _printable(text: str) -> bool:
    return text.isprintable()
