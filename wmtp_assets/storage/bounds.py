"""Which names and paths may be written: inside their folder, through no link.

The one set of rules, for names from upstream (`hub/names.py`), from a catalog and from a receipt.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
from pathlib import Path

from wmtp_assets.storage.errors import StorageError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]*")
VERSION = re.compile(r"[0-9a-f]{12}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")
_LONGEST_SEGMENT = 255  # bytes; what every common file system takes


def usable_name(part: str) -> bool:
    """True for letters, digits and `._+=-`, unless a version's own names look like that."""
    return bool(_NAME.fullmatch(part)) and part != "current" and not VERSION.fullmatch(part)


def checked_name(name: str) -> str:
    """`name` itself, if it can name an artifact or a set: usable words joined by slashes; raises
    `StorageError` otherwise."""
    if not all(usable_name(part) for part in name.split("/")):
        raise StorageError(
            "A name in the storage is not usable",
            expected="words of letters, digits and ._+=-, joined by slashes",
            found=repr(name),
        )
    return name


def why_unsafe(path: str) -> str | None:
    """Why a path is not safe to join to a folder; None where it is.

    Safe means relative, with `/` between plain segments: no `..`, `.` or empty segment, no drive
    letter, backslash, NUL or other control character, no segment over 255 bytes.
    """
    if not path:
        return "is empty"
    if _CONTROL.search(path):
        return "holds a NUL or another control character"
    if path.startswith("/"):
        return "is absolute"
    if "\\" in path:
        return "holds a backslash"
    if _DRIVE.match(path):
        return "begins with a drive letter"
    segments = path.split("/")
    if ".." in segments:
        return "goes up with '..'"
    if "" in segments or "." in segments:
        return "has an empty segment or '.'"
    try:
        longest = max(len(segment.encode()) for segment in segments)
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if longest > _LONGEST_SEGMENT:
        return f"has a segment of {longest} bytes"
    return None


def plain_path(path: str) -> str:
    """`path` itself, if `why_unsafe` has nothing against it; `ValueError` otherwise."""
    reason = why_unsafe(path)
    if reason is not None:
        raise ValueError(f"{path!a} {reason}")
    return path


def checked_path(path: str) -> str:
    """As `plain_path`; raises `StorageError`."""
    try:
        return plain_path(path)
    except ValueError as error:
        raise StorageError("A path in the storage is not usable", found=error) from error


def require_inside(root: Path, path: Path) -> Path:
    """`path` itself, if writing there stays within `root`; raises `StorageError` otherwise.

    Looks at every folder on the way from `root` to `path` that is there already, for a clear error
    before anything is done; `disk` follows no link in any case.
    """
    try:
        parts = path.relative_to(root).parts
    except ValueError:
        parts = ("..",)
    if ".." in parts:
        raise StorageError("This path is outside the storage", expected=f"under {root}", found=path)
    step = root
    for part in parts[:-1]:
        step = step / part
        if os.path.islink(step):  # noqa: PTH114  (never raises: what may not be read is reported later)
            raise in_the_way(root, step)
    return path


def in_the_way(root: Path, link: Path) -> StorageError:
    """The one error for a link that stands where the storage has a folder of its own.

    Its cause is what `disk` raises for the same link: whichever of the two meets it first, the
    system refused, and nothing is wrong with what is stored.
    """
    target = Path(os.path.realpath(link))  # of a link that goes round, the link
    leads_out = not target.is_relative_to(os.path.realpath(root))
    back = f"rm {shlex.quote(str(link))}"
    if not target.is_symlink() and target.is_dir():
        back += f" && mv {shlex.quote(str(target))} {shlex.quote(str(link))}"
    error = StorageError(
        "A link inside the storage leads out of it, and is not written through"
        if leads_out
        else "A link stands where a folder of the storage belongs, and is not written through",
        expected="a folder",
        found=f"a link to {link.readlink()}",
        where=link,
        hint=f"`{back}` makes it a folder again; to keep the files on another disk, move the whole "
        "storage there and set WMTP_STORAGE.",
    )
    error.__cause__ = OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(link))
    return error
