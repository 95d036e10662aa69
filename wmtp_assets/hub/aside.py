"""What is not readable as the state file it should be is moved aside, so that work can go on.

Nothing is deleted: it may be a person's. The new name says what happened, and the note says where
it is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from itertools import count
from pathlib import Path

from wmtp_assets.hub.refusals import HubError
from wmtp_assets.storage import disk
from wmtp_assets.storage.aside import UNREADABLE


def set_aside(path: Path, why: str, note: Callable[[str], None]) -> Path:
    """Rename `path`, whatever it is, to a free name beside it; the new path. Raises OSError."""
    for number in count(1):
        target = path.with_name(path.name + UNREADABLE + (f"-{number}" if number > 1 else ""))
        if not os.path.lexists(target):
            break
    disk.rename(path, target)
    note(f"{path} is unreadable ({why}); it is moved to {target.name} and started anew")
    return target


def clear_file(path: Path, note: Callable[[str], None]) -> None:
    """Move away what is at `path` unless it is a plain file that can be read and written."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISREG(mode):
        set_aside(path, kind_of(mode), note)
    elif not os.access(path, os.R_OK | os.W_OK) and os.access(path.parent, os.W_OK):
        set_aside(path, "this user may not read and write it", note)


def clear_folder(root: Path, relative: str, note: Callable[[str], None]) -> None:
    """Move away what is in the way of making the folder `relative` below `root`.

    Links are for `safe_target` to judge; one that leads to a folder is in nobody's way.
    """
    place = root
    for segment in relative.split("/"):
        place = place / segment
        if not os.path.lexists(place):
            return
        if not place.is_dir():
            set_aside(place, f"{kind_of(os.lstat(place).st_mode)}, not a folder", note)
            return


def require_free(root: Path, target: Path, what: str) -> None:
    """Raises HubError where something other than a file is at `target` below `root`."""
    places = [target, *target.parents]
    for place in reversed(places[: places.index(root)]):
        if not os.path.lexists(place):
            return
        wanted = place.is_file() or not place.exists() if place == target else place.is_dir()
        if not wanted:
            raise HubError(
                f"Something else is in the place of {what}",
                expected="a file" if place == target else "a folder",
                found=kind_of(os.lstat(place).st_mode),
                where=place,
                hint="move it away, and run the same command again.",
            )


def kind_of(mode: int) -> str:
    """What a file's mode says it is, in words."""
    return _KINDS.get(stat.S_IFMT(mode), "something that is not a file")


_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
