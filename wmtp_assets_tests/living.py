"""Reads what a running program may take away at any moment: its files, and its processes in /proc.

`Path.rglob` raises when a folder goes while it is walked, and a process may end between the moment
that /proc listed it and the moment that a file of it is read.
"""

from __future__ import annotations

import os
from pathlib import Path


def below(root: Path) -> list[Path]:
    """Every folder and file below `root`, in order; what goes while it is walked may be missing."""
    return sorted(
        Path(here, name) for here, folders, files in os.walk(root) for name in (*folders, *files)
    )


def begun(process: Path) -> str | None:
    """When a process of /proc began, in the kernel's ticks, which tells it from a later one of the
    same number; None where it has ended, also where nobody has been told of that yet."""
    stat = content(process / "stat")
    if stat is None:
        return None
    fields = stat.rpartition(b")")[2].split()  # the name, in parentheses, may hold anything
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


def content(path: Path) -> bytes | None:
    """The bytes of a file; None where there is no such file, any longer or at all."""
    try:
        return path.read_bytes() if path.is_file() else None
    except (FileNotFoundError, ProcessLookupError):
        return None
