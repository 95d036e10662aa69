"""Which names may be written: inside the storage, by no link that leads out of it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from wmtp_assets.storage.errors import StorageError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]*")
VERSION = re.compile(r"[0-9a-f]{12}")


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


def plain_path(path: str) -> str:
    """`path` itself, if it is relative, plain and leads nowhere else; `ValueError` otherwise."""
    pure = PurePosixPath(path)
    if path != str(pure) or pure.is_absolute() or not pure.parts or ".." in pure.parts:
        raise ValueError(f"{path!r} is no relative path without '..', '.', or empty parts")
    if "\0" in path:
        raise ValueError(f"{path!r} holds a NUL")
    return path


def checked_path(path: str) -> str:
    """As `plain_path`; raises `StorageError`."""
    try:
        return plain_path(path)
    except ValueError as error:
        raise StorageError("A path in the storage is not usable", found=error) from error


def require_inside(root: Path, path: Path) -> Path:
    """`path` itself, if writing there stays within `root`; raises `StorageError` otherwise.

    Looks at every folder on the way from `root` to `path` that is there already: a link among them
    that leads out of the storage would have us write into somebody else's files.
    """
    try:
        parts = path.relative_to(root).parts
    except ValueError:
        parts = ("..",)
    if ".." in parts:
        raise StorageError("This lies outside the storage", expected=f"under {root}", found=path)
    step = root
    for part in parts[:-1]:
        step = step / part
        if step.is_symlink() and not step.resolve().is_relative_to(root.resolve()):
            raise StorageError(
                "A link inside the storage leads out of it, and is not written through",
                expected="a folder",
                found=f"a link to {step.readlink()}",
                where=step,
                mend="replace the link by a folder; to keep the files on another disk, move the "
                "whole storage there and set WMTP_STORAGE.",
            )
    return path
