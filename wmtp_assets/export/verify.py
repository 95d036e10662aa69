"""Whether an export, or one volume of it, is what was written: by itself, without the storage."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from wmtp_assets.errors import WmtpError, one_line
from wmtp_assets.export.record import (
    NAME,
    OWN,
    SUMS,
    ExportError,
    Record,
    stated_sums,
    volumes_in,
)
from wmtp_assets.export.target import files_below
from wmtp_assets.progress import following
from wmtp_assets.storage import as_read, aside, walks
from wmtp_assets.storage.digests import sha256_files, watched
from wmtp_assets.storage.errors import StorageError, refused
from wmtp_assets.storage.preflight import gigabytes
from wmtp_assets.storage.receipts import FileRecord, Mismatch

SHOWN = 20
"""Problems of one kind that the text lists; JSON has all of them."""
_TRIES = 5  # looks at an export that is written meanwhile


@dataclass
class Verified:
    """What was found in a folder. `problems` by kind: missing, changed, extra, unfinished, record,
    editions; `files` and `size` (bytes) are what was read."""

    folder: Path
    volumes: list[str] = field(default_factory=list)
    sets: dict[str, str] = field(default_factory=dict)
    files: int = 0
    size: int = 0
    problems: dict[str, list[Mismatch]] = field(default_factory=dict)

    @property
    def sound(self) -> bool:
        """Whether nothing is missing, changed or extra."""
        return not self.problems

    def add(self, kind: str, mismatch: Mismatch) -> None:
        """Notes one problem."""
        self.problems.setdefault(kind, []).append(mismatch)

    def to_json(self) -> dict[str, object]:
        """As a JSON object."""
        return {
            "sound": self.sound,
            "folder": str(self.folder),
            "volumes": self.volumes,
            "sets": self.sets,
            "files": self.files,
            "size": self.size,
            "problems": {
                kind: [{**asdict(one), "file": str(one.file)} for one in found]
                for kind, found in self.problems.items()
            },
        }

    def text(self) -> str:
        """A line per problem, and what was read."""
        lines = []
        for kind, found in sorted(self.problems.items()):
            for one in found[:SHOWN]:
                line = f"WRONG: {kind}: {one_line(one.file)}: expected {one.expected}; found "
                line += one_line(one.found)
                lines.append(line + (f"; what to do: {one.hint}" if one.hint else ""))
            if len(found) > SHOWN:
                lines.append(f"WRONG: {kind}: {len(found) - SHOWN} more (--json lists them)")
        result = "sound" if self.sound else "NOT SOUND"
        read = f"{self.files} files, {gigabytes(self.size)} in {', '.join(self.volumes)}"
        lines.append(f"{read}: {result} (every byte was read).")
        return "\n".join(lines)


def verify_export(folder: Path) -> Verified:
    """Compares an export, or one of its volumes, with its record and SHA256SUMS. Reads every byte.

    Where `folder` holds several volumes, one that the others name is missed; each volume alone is
    complete. Where something is wrong and an export to the same folder wrote the record anew
    meanwhile, all is compared again. Raises ExportError where there is no export, StorageError
    where it may not be read.
    """
    folder = folder.resolve()
    for left in reversed(range(_TRIES)):
        before = _records(folder)
        try:
            done = _verified(folder)
        except WmtpError:
            if not left or before == _records(folder):
                raise
        else:
            if not left or done.sound or before == _records(folder):
                break
    return done


def _records(folder: Path) -> list[tuple[str, int, int]]:
    """Which files are the records of an export now."""
    found = []
    with suppress(OSError):
        for place in (folder, *walks.entries(folder)):
            status = walks.status(place / NAME)
            if status is not None:
                found.append((place.name, status.st_ino, status.st_mtime_ns))
    return found


def _verified(folder: Path) -> Verified:
    try:
        volumes = volumes_in(folder)
    except OSError as error:
        raise refused(error, folder) from error
    if not volumes:
        raise ExportError(
            "There is no export in this folder",
            expected=f"{NAME}, as `wmtp export` writes it, in it or in a folder of it",
            found="nothing" if not any(folder.iterdir()) else "other files",
            where=folder,
            hint=f"`wmtp doctor {aside.quoted(folder)}` reports what is there; a storage is "
            "verified by `wmtp verify` with WMTP_STORAGE set to it, a bucket by its URL (file://...).",
        )
    done = Verified(folder, [one.name for one in volumes])
    wanted: dict[Path, FileRecord] = {}
    expected = set()
    for volume in volumes:
        record = _record(done, volume)
        files = record.files if record else _by_sums(volume)
        wanted |= _there(done, volume, record, files)
        if record is not None:
            expected |= set(record.volumes)
            _states_the_same(done, volume, files)
            _of_one_edition(done, volume, record)
    if volumes != [folder]:
        for name in sorted(expected - {one.name for one in volumes}):
            hint = f"`wmtp verify {aside.quoted(volumes[0])}` verifies one volume alone."
            done.add("missing", Mismatch(folder / name, "a volume", "nothing", hint))
    _compare(done, wanted)
    return done


def _record(done: Verified, volume: Path) -> Record | None:
    try:
        record = Record.read(volume)
    except ExportError as error:
        done.add("record", Mismatch(volume / NAME, str(error.expected), str(error.found)))
        return None
    for name, one in sorted(record.sets.items()) if record else ():
        if not one.whole:
            done.add(
                "unfinished",
                Mismatch(
                    volume,
                    f"all files of {name}",
                    "an export that was interrupted, or met a damaged file",
                    f"`wmtp export {aside.quoted(done.folder)} {name}` completes it, where the "
                    "storage is",
                ),
            )
    return record


def _of_one_edition(done: Verified, volume: Path, record: Record) -> None:
    """Notes the sets of a volume, and those of which another volume holds another edition: one of
    the two was copied at another time."""
    for name, one in sorted(record.sets.items()):
        before = done.sets.setdefault(name, one.version)
        if before != one.version:
            done.add(
                "editions",
                Mismatch(
                    volume,
                    f"edition {before} of {name}, as in the volumes before it",
                    f"edition {one.version}",
                    f"copy all volumes again, or `wmtp export {aside.quoted(done.folder)} {name}` "
                    "where the storage is",
                ),
            )


def _by_sums(volume: Path) -> dict[str, FileRecord]:
    """What SHA256SUMS alone states; sizes are not known."""
    try:
        return {path: FileRecord(-1, one) for path, one in stated_sums(volume).items()}
    except StorageError:
        return {}


def _states_the_same(done: Verified, volume: Path, files: Mapping[str, FileRecord]) -> None:
    """SHA256SUMS must say of the files what the record says."""
    path = volume / SUMS
    try:
        stated = stated_sums(volume)
    except StorageError as error:
        done.add("record", Mismatch(path, "the sums that were written", str(error.found)))
        return
    if stated != {name: record.sha256 for name, record in files.items()}:
        done.add("record", Mismatch(path, f"what {NAME} states", "other files or digests"))


def _there(
    done: Verified, volume: Path, record: Record | None, files: Mapping[str, FileRecord]
) -> dict[Path, FileRecord]:
    """What of a volume can be read and compared; notes what is missing and what is extra."""
    found: dict[Path, FileRecord] = {}
    present = set(files_below(volume)) - OWN
    for path, wanted in sorted(files.items()):
        place = volume / path
        stated = f"SHA-256 {wanted.sha256}" if wanted.size < 0 else f"{wanted.size} bytes"
        status = walks.status(place) if path in present else None
        if status is None:
            done.add("missing", Mismatch(place, stated, "nothing"))
        elif not stat.S_ISREG(status.st_mode):
            done.add("changed", Mismatch(place, "a regular file", as_read.described(place)))
        elif wanted.size not in (-1, status.st_size):
            done.add("changed", Mismatch(place, stated, f"{status.st_size} bytes"))
        else:
            found[place] = wanted
    known = record.known if record else set(files)
    for place in (volume / path for path in sorted(present - known)):
        if walks.status(place) is not None:
            done.add("extra", Mismatch(place, "nothing", as_read.described(place)))
    return found


def _compare(done: Verified, wanted: Mapping[Path, FileRecord]) -> None:
    """Reads every file once, whatever the number of its names, and compares its digest."""
    files = {path: walks.status(path) for path in wanted}
    names = {path: (found.st_dev, found.st_ino) for path, found in files.items() if found}
    by_inode: dict[tuple[int, int], Path] = {}
    for path, inode in names.items():
        by_inode.setdefault(inode, path)
    sizes = {names[path]: found.st_size for path, found in files.items() if found}
    done.files, done.size = len(wanted), sum(sizes.values())
    digests = _digests(by_inode.values(), done.size)
    for path, record in wanted.items():
        found = digests.get(by_inode[names[path]]) if path in names else None
        stated = f"SHA-256 {record.sha256}"
        if found is None:
            done.add("missing", Mismatch(path, stated, "nothing"))
        elif found != record.sha256:
            done.add("changed", Mismatch(path, stated, f"SHA-256 {found}"))


def _digests(paths: Iterable[Path], total: int) -> dict[Path, str]:
    """The SHA-256 of each file; none of one that is gone."""
    count = 0
    with following("verifying", total, None) as at:

        def read(more: int) -> None:
            nonlocal count
            count += more
            at(count)

        there = list(paths)
        while True:
            try:
                with watched(read):
                    return sha256_files(there)
            except StorageError:
                left = [path for path in there if walks.status(path) is not None]
                if left == there:
                    raise
                there = left
