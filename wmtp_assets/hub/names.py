"""Which names from upstream may become paths here.

A file name in a repository is whatever its owner typed. It is checked before anything is written,
and once more against the links that already lie in the folder.
"""

from __future__ import annotations

import re
from pathlib import Path

from wmtp_assets.errors import WmtpError

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")
_LONGEST_SEGMENT = 255  # bytes; what every common file system takes


class UnsafeNameError(WmtpError):
    """A name from upstream that could write outside the folder it belongs in."""


def check_name(path: str) -> str:
    """The path itself when it is safe to join to a folder, else UnsafeNameError.

    Safe means relative, with `/` between plain segments: no `..`, `.` or empty segment, no drive
    letter, backslash, NUL or other control character, no segment over 255 bytes.
    """
    reason = why_unsafe(path)
    if reason is not None:
        raise UnsafeNameError(
            "A file name from upstream is refused before anything is written",
            expected="a relative path that stays in its folder",
            found=f"{path!a}, which {reason}",
            hint="leave this file out of the catalog; the repository may be hostile.",
        )
    return path


def why_unsafe(path: str) -> str | None:
    """Why `check_name` refuses the path; None where it does not."""
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


def safe_target(root: Path, relative: str) -> Path:
    """Where `relative` is to be written under `root`; follows no link out of it.

    `root` itself may be a link (a person's choice). A link below it that leads elsewhere in the
    same root is fine; one that leaves it is refused with UnsafeNameError. Nothing is created.
    """
    check_name(relative)
    home = root.resolve()
    target = root / relative
    place = root
    for segment in relative.split("/"):
        place = place / segment
        if place.is_symlink() and not _leads_into(home, place):
            raise UnsafeNameError(
                "A link leads out of the folder that is written to",
                expected=f"everything under {root} to stay there",
                found=f"{place} -> {place.readlink()}",
                hint=f"remove the link {place}, or move what it leads to.",
            )
    return target


def _leads_into(home: Path, link: Path) -> bool:
    try:
        return link.resolve().is_relative_to(home)
    except (OSError, RuntimeError):  # it leads round in circles
        return False
