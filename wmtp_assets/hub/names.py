"""Which names from upstream may become paths here.

A file name in a repository is whatever its owner typed. It is checked before anything is written,
and once more against the links that are in the folder already.
"""

from __future__ import annotations

from pathlib import Path

from wmtp_assets.errors import WmtpError
from wmtp_assets.storage.bounds import why_unsafe


class UnsafeNameError(WmtpError):
    """A name from upstream that could write outside the folder it belongs in."""


def check_name(path: str) -> str:
    """The path itself when it is safe to join to a folder, else UnsafeNameError.

    The rules are at `why_unsafe` (storage/bounds.py).
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
