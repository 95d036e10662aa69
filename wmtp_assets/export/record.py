"""`export.json`: which editions a volume holds, and each file as it was when it was written.

It is written before the first file, with the sets that are on their way marked as not whole, and
again after the last one. So a folder that an interrupted export left is known as such, and every
file in a volume that the record does not name was put there by somebody else.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wmtp_assets.errors import WmtpError
from wmtp_assets.storage import as_read, bounds, receipts
from wmtp_assets.storage.atomic import json_bytes, write_bytes
from wmtp_assets.storage.digests import digest_of, read_sha256sums
from wmtp_assets.storage.errors import StorageError, storage_errors
from wmtp_assets.storage.receipts import FileRecord, typed

NAME = "export.json"
SUMS = "SHA256SUMS"
OWN = frozenset({NAME, SUMS})
IGNORED = frozenset({"lost+found"})
"""What the root of a file system holds that is mounted by itself."""

_FORMAT = 1


class ExportError(WmtpError):
    """A folder cannot be exported to, or is no export."""


@dataclass(frozen=True)
class ExportedSet:
    """One published set in a volume: its edition, and its files by their path in the volume.

    `whole` is False from before its first file is written until after its last.
    """

    version: str
    whole: bool
    files: Mapping[str, FileRecord]


@dataclass(frozen=True)
class Record:
    """What a volume holds. `volumes` are the names of all volumes of the export, `leaving` the
    files of earlier editions that are still to be removed."""

    volume: str
    volumes: tuple[str, ...]
    sets: Mapping[str, ExportedSet]
    leaving: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, FileRecord]:
        """The files of all sets that are whole, by path."""
        return {
            path: file
            for one in self.sets.values()
            if one.whole
            for path, file in one.files.items()
        }

    @property
    def known(self) -> set[str]:
        """Every path that an export has written here, or was about to."""
        of_sets = {path for one in self.sets.values() for path in one.files}
        return of_sets | set(self.leaving)

    def to_bytes(self) -> bytes:
        """The record as it is stored: indented JSON, with a seal."""
        value: dict[str, Any] = {
            "format": _FORMAT,
            "volume": self.volume,
            "volumes": list(self.volumes),
            "about": dict(self.about),
            "sets": {
                name: {
                    "version": one.version,
                    "whole": one.whole,
                    "files": {path: file._asdict() for path, file in sorted(one.files.items())},
                }
                for name, one in sorted(self.sets.items())
            },
            "leaving": sorted(self.leaving),
        }
        value["seal"] = digest_of(value)
        return json_bytes(value)

    def write(self, folder: Path) -> None:
        """Writes it into a volume, in one step."""
        write_bytes(folder / NAME, self.to_bytes())

    @classmethod
    def read(cls, folder: Path) -> Record | None:
        """The record of a volume, None where there is none.

        Raises ExportError where it is not the text that was written.
        """
        path = folder / NAME
        try:
            data = receipts.record_bytes(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise _damaged(path, str(error)) from error
        try:
            record = cls._of(json.loads(data))
        except receipts.UNREADABLE as error:
            raise _damaged(path, f"{type(error).__name__}: {error}") from error
        if record.to_bytes() != data:
            raise _damaged(path, "a text that its own seal does not fit")
        return record

    @classmethod
    def _of(cls, value: dict[str, Any]) -> Record:
        if value["format"] != _FORMAT:
            raise ValueError(f"format {value['format']!r:.20}, of another version of this package")
        return cls(
            volume=bounds.plain_path(value["volume"]),
            volumes=tuple(bounds.plain_path(name) for name in value["volumes"]),
            sets={
                _set_name(name): ExportedSet(
                    typed(str, one["version"]),
                    typed(bool, one["whole"]),
                    {
                        bounds.plain_path(path): FileRecord(
                            typed(int, file["size"]), typed(str, file["sha256"])
                        )
                        for path, file in one["files"].items()
                    },
                )
                for name, one in value["sets"].items()
            },
            leaving=tuple(bounds.plain_path(path) for path in value["leaving"]),
            about=typed(dict, value["about"]),
        )


def _set_name(name: str) -> str:
    if not all(map(bounds.usable_name, name.split("/"))):
        raise ValueError(f"{name!a} as the name of a set")
    return name


def stated_sums(volume: Path) -> dict[str, str]:
    """What a volume's SHA256SUMS states: {path: digest}. Raises StorageError where it is not there,
    is no regular file (a copy would leave a link's target behind), or cannot be read."""
    path = volume / SUMS
    with storage_errors(f"Reading {SUMS}", path):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise StorageError(
                f"{SUMS} is no regular file",
                expected="a regular file",
                found=as_read.described(path),
                where=path,
                hint="look at it, then move it away, and export again.",
            )
    return read_sha256sums(path)


def volumes_in(folder: Path) -> list[Path]:
    """The volumes of an export: `folder` itself, or the folders in it, where they have a record.
    Sorted by name. Raises `OSError` where the folder may not be read."""
    if (folder / NAME).is_file():
        return [folder]
    return [one for one in sorted(folder.iterdir()) if (one / NAME).is_file()]


def _damaged(path: Path, found: str) -> ExportError:
    return ExportError(
        "The record of an export is damaged",
        expected="the text that `wmtp export` wrote",
        found=found,
        where=path,
        hint=f"export into a new folder; `sha256sum -c {SUMS}` still verifies the files here.",
    )
