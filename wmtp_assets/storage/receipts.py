"""The record beside every version of an artifact: what it is, and what it was made of.

A receipt has digests of itself (`seal`), of its files (`files`, `digest`), and, in `inputs`,
of the receipts it was made from: `wmtp verify` follows them from the outputs back to the sources.
"""

from __future__ import annotations

import json
import os
import platform
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from wmtp_assets.storage import bounds
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.digests import digest_of
from wmtp_assets.storage.errors import DENIED, StorageError, refused

NAME = "receipt.json"
T = TypeVar("T")


class FileRecord(NamedTuple):
    """One file as it was when its artifact was committed."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Receipt:
    """What one version of one artifact is and was made of.

    `files`: path within the version's folder -> size in bytes and SHA-256. `inputs`: name of an
    artifact or a file upstream -> its digest when it was read. `entry_digest`: digest of the
    catalog's entry. `facts`: what the maker wants remembered, JSON. `sequence` counts this
    artifact's commits: an order that no clock can disturb. `made_at` is UTC; `seconds` is how
    long the making took.
    """

    artifact: str
    files: Mapping[str, FileRecord]
    inputs: Mapping[str, str]
    code_version: str
    entry_digest: str
    facts: Mapping[str, Any]
    sequence: int
    made_at: str
    host: str
    seconds: float

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the sorted list of (path, SHA-256): equal for equal bytes."""
        return digest_of(sorted((name, record.sha256) for name, record in self.files.items()))

    @property
    def version(self) -> str:
        """The first twelve digits of the digest: the name of the version's folder."""
        return self.digest[:12]

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(record.size for record in self.files.values())

    def made_from(self, *, inputs: Mapping[str, str], code_version: str, entry_digest: str) -> bool:
        """True when making it again from these would be making the same again."""
        return (
            dict(self.inputs) == dict(inputs)
            and self.code_version == code_version
            and self.entry_digest == entry_digest
        )

    def to_bytes(self) -> bytes:
        """The receipt as it is stored: indented JSON with digest, version, and seal."""
        value: dict[str, Any] = {
            "artifact": self.artifact,
            "version": self.version,
            "digest": self.digest,
            "files": {name: record._asdict() for name, record in sorted(self.files.items())},
            "inputs": self.inputs,
            "code_version": self.code_version,
            "entry_digest": self.entry_digest,
            "facts": self.facts,
            "sequence": self.sequence,
            "made_at": self.made_at,
            "host": self.host,
            "seconds": self.seconds,
        }
        value["seal"] = digest_of(value)
        return json_bytes(value)

    @classmethod
    def read(cls, path: Path) -> Receipt:
        """Reads and checks a stored receipt.

        Raises `StorageError` when it cannot be read, was changed by anything but this package, or
        does not belong to its folder.
        """
        try:
            receipt = _read(record_bytes(path))
        except UNREADABLE as error:
            raise why_unread(path, error) from error
        if receipt is None:
            raise damaged(path, "a text that its own seal does not fit")
        if path.parent.name != receipt.version:
            raise damaged(path, f"the receipt of version {receipt.version}")
        return receipt

    @classmethod
    def parse(cls, data: bytes) -> Receipt:
        """The receipt that these bytes are; one of `UNREADABLE` where they are none."""
        receipt = _read(data)
        if receipt is None:
            raise ValueError("a text that its own seal does not fit")
        return receipt

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Receipt:
        """What a record says, unchecked; raises what a dict raises when it says nothing."""
        return cls(
            artifact=typed(str, value["artifact"]),
            files={
                bounds.plain_path(name): FileRecord(
                    typed(int, file["size"]), typed(str, file["sha256"])
                )
                for name, file in value["files"].items()
            },
            inputs={name: typed(str, digest) for name, digest in value["inputs"].items()},
            code_version=typed(str, value["code_version"]),
            entry_digest=typed(str, value["entry_digest"]),
            facts=typed(dict, value["facts"]),
            sequence=typed(int, value["sequence"]),
            made_at=typed(str, value["made_at"]),
            host=typed(str, value["host"]),
            seconds=typed((int, float), value["seconds"]),
        )


# What reading a record may raise that another program wrote in its place.
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
_LARGEST = 64 << 20  # bytes; a receipt of ten thousand files has 2 MB


def record_bytes(path: Path) -> bytes:
    """A record as it is stored. Raises ValueError where it is no plain file or far too large: a
    pipe would be waited for without end."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a plain file")
        if found.st_size > _LARGEST:
            raise ValueError(f"{found.st_size} bytes, where a record has some thousand")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(_LARGEST)
    finally:
        os.close(descriptor)


def typed(kind: type[T] | tuple[type[T], ...], value: object) -> T:
    """`value`, if it is of this kind; TypeError otherwise."""
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.40} where another kind of value belongs")
    return value


@lru_cache(maxsize=256)
def _read(data: bytes) -> Receipt | None:
    """The receipt that these very bytes are, None if their seal does not fit.

    Remembered by the bytes: a gate asks for one receipt dozens of times.
    """
    receipt = Receipt.from_json(json.loads(data))
    return receipt if receipt.to_bytes() == data else None


@dataclass(frozen=True)
class Mismatch:
    """A path that is not as the storage's records state: expected beside found.

    `hint` is a shell command that repairs it, where making or publishing again would not.
    """

    file: Path
    expected: str
    found: str
    hint: str = ""


def now() -> str:
    """This moment in UTC, as the records write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def host() -> str:
    """This machine's name, as the records write it."""
    return platform.node()


def why_unread(path: Path, error: Exception) -> StorageError:
    """The one error for a record that could not be read: it may be sound, but for another user."""
    if isinstance(error, OSError) and error.errno in DENIED:
        return refused(error, path)
    return damaged(path, f"{type(error).__name__}: {error}")


def damaged(path: Path, found: str) -> StorageError:
    """The one error for a record that is not the text this package wrote."""
    return StorageError(
        "A record of the storage is damaged",
        expected="the text that this package wrote",
        found=found,
        where=path,
        hint="`wmtp materialize` makes it again.",
    )
