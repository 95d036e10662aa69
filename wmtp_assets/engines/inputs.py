"""What parts read that may be replaced under its name: upstream's files of another revision lie at
the same paths. Versions of artifacts are named by what they hold, and are none of these.

A plan records each file's SHA-256, and its size, time and inode when it had that. Whoever works on
a part compares these before and afterwards; it reads a whole file only where they differ.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from wmtp_assets.engines.engine import EngineError, Result
from wmtp_assets.engines.forms import NUMBER, SHA256, Named, fits
from wmtp_assets.storage.atomic import write_bytes
from wmtp_assets.storage.digests import sha256_file, sha256_files

NAME: Final = "inputs.json"
Stamp = tuple[int, int, int]
"""Of a file: bytes, nanoseconds of its last change, inode."""
Stamps = dict[Path, Stamp | None]


_FORM: Final = {"folder": str, "files": Named({"sha256": SHA256, "stamp": (NUMBER, int, NUMBER)})}


@dataclass(frozen=True)
class _Recorded:
    """The folder of the plan, and of each file its SHA-256 and the stamp that it had then."""

    folder: Path
    files: Mapping[Path, tuple[str, Stamp]]


def stamps_of(files: Iterable[Path]) -> Stamps:
    """The stamp of each file; None where there is none."""
    return {path: _stamp(path) for path in files}


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def record(folder: Path, files: Mapping[Path, str], again: str) -> None:
    """Writes down in the folder of a plan that its parts read these files, by their SHA-256.

    Reads those of which that was not known yet. `again` is what helps where a file is another one.
    Raises EngineError then, StorageError where one cannot be read.
    """
    recorded = _read(folder)
    known = {} if recorded is None else recorded.files
    stamps = stamps_of(files)
    for path, stamp in stamps.items():
        if stamp is None:
            raise _other(path, "no file", again)
    unread = [path for path in files if known.get(path) != (files[path], stamps[path])]
    for path, found in sha256_files(unread).items():
        if found != files[path]:
            raise _other(path, f"SHA-256 {found}", again, f"SHA-256 {files[path]}")
    require_same(stamps, again)
    values = {str(path): {"sha256": files[path], "stamp": stamps[path]} for path in files}
    text = json.dumps({"folder": str(folder), "files": values}, indent=2)
    write_bytes(folder / NAME, text.encode("ascii"))


def require_recorded(folder: Path, again: str) -> Stamps:
    """The stamps of the files that parts of this plan read, which hold what the plan was made of.

    Raises EngineError where one does not, or the plan was made in another folder.
    """
    recorded = _read(folder)
    if recorded is None:
        raise EngineError(
            "The list of the files that the parts of this plan read is missing",
            expected=f"{NAME}, as `wmtp slurm` wrote it",
            where=folder,
            hint=again,
        )
    try:
        here = recorded.folder.samefile(folder)
    except OSError:
        here = False
    if not here:
        raise EngineError(
            "This plan is a copy: its parts read and write files of the storage for "
            "which it was made",
            expected=recorded.folder,
            found=folder,
            hint=f"`rm -r {shlex.quote(str(folder))}`; where this storage is now, {again}",
        )
    found = stamps_of(recorded.files)
    for path, (sha256, stamp) in recorded.files.items():
        if found[path] is None:
            raise _other(path, "no file", again)
        # Moved to another disk, a file is the same though its inode is not.
        if found[path] != stamp and (there := sha256_file(path)) != sha256:
            raise _other(path, f"SHA-256 {there}", again, f"SHA-256 {sha256}")
    require_same(found, again)
    return found


def require_same(before: Stamps, again: str) -> None:
    """Raises EngineError where a file is not the one that it was."""
    for path, stamp in before.items():
        if _stamp(path) != stamp:
            raise _other(path, "a file that was put there meanwhile", again)


def watching(files: Iterable[Path], results: Iterable[Result]) -> Iterator[Result]:
    """Results of what reads these files. Raises EngineError at the end where one of them was
    replaced meanwhile."""
    before = stamps_of(files)
    yield from results
    require_same(before, "nothing was made of it; run the same command again.")


def _read(folder: Path) -> _Recorded | None:
    """What is recorded; None where that is nothing whole."""
    try:
        value = json.loads((folder / NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not fits(value, _FORM):
        return None
    files = {
        Path(name): (str(one["sha256"]), _as_stamp(*one["stamp"]))
        for name, one in value["files"].items()
    }
    return _Recorded(Path(value["folder"]), files)


def _as_stamp(size: int, changed: int, inode: int) -> Stamp:
    return size, changed, inode


def _other(path: Path, found: str, again: str, expected: str | None = None) -> EngineError:
    return EngineError(
        "A file has changed since this work was divided",
        expected=expected or "the file that was there then",
        found=found,
        where=path,
        hint=again,
    )
