"""Links to somebody else's files, put at every place that an operation writes to."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from wmtp_assets.storage.disk import LEFTOVERS
from wmtp_assets_tests.storage.faults import FaultyDisk

Operation = Callable[[], object]


def places_of(root: Path, operation: Operation) -> list[Path]:
    """Every path below `root` that the operation changes by a name that can be known beforehand,
    and every folder on the way; relative to `root`, sorted."""
    with FaultyDisk() as disk:
        operation()
    named: set[Path] = set()
    for _, arguments in disk.log:
        for argument in arguments:
            if isinstance(argument, Path) and argument.is_relative_to(root):
                named.add(argument.relative_to(root))
    named |= {above for path in named for above in path.parents}
    return sorted(path for path in named if path.parts and not any(map(unknown, path.parts)))


def unknown(part: str) -> bool:
    """Whether a name is drawn at random, so that nobody can be there first."""
    return part.startswith((*LEFTOVERS, ".writing"))


def planted(root: Path, place: Path, kind: str) -> Path:
    """Puts a link at `place` below `root`; the folder of whoever owns what it leads to.

    `kind`: "same" leads to a copy of what was there, so that whoever follows it finds all as it
    was; "file" to a file, "folder" to a folder, "nothing" to a name in their folder.
    """
    theirs = root.with_name("theirs")
    theirs.mkdir()
    (theirs / "file").write_bytes(b"theirs")
    (theirs / "folder").mkdir()
    (theirs / "folder" / "precious").write_bytes(b"theirs")
    path = root / place
    if path.is_symlink() or path.is_file():
        if kind == "same" and path.is_file():
            shutil.copy2(path, theirs / "same")
        path.unlink()
    elif path.is_dir():
        if kind == "same":
            shutil.copytree(path, theirs / "same", symlinks=True)
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(theirs / kind)
    return theirs


def as_it_is(folder: Path) -> list[tuple[str, int, Any]]:
    """Names, modes and contents of all below a folder."""
    found: list[tuple[str, int, Any]] = []
    for path in sorted(folder.rglob("*")):
        content: Any = None
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        found.append((str(path.relative_to(folder)), path.lstat().st_mode, content))
    return found


def kinds(places: Iterable[Path]) -> list[tuple[Path, str]]:
    """Every place with every kind of link."""
    return [(place, kind) for place in places for kind in ("same", "file", "folder", "nothing")]
