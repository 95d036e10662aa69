"""What a bucket holds of one storage at one moment, and the order of such editions.

An edition's name is the SHA-256 of its bytes, and it names every file by SHA-256: whoever knows the
name can tell whether all that was read is what was pushed.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from wmtp_assets.bucket.blocks import list_size
from wmtp_assets.bucket.marks import alone
from wmtp_assets.bucket.place import LARGEST, Bucket, BucketError
from wmtp_assets.storage import bounds
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.digests import digest_of
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.publications import Publication
from wmtp_assets.storage.receipts import UNREADABLE, FileRecord, Receipt, host, now, typed

PIECE = 8 << 20
"""Bytes in a piece. What is read, hashed and sent at once: a few of them are all that is in memory,
and all that is sent twice when a push was killed."""

OBJECTS, EDITIONS, HEADS = "objects", "editions", "heads"
_FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OTHER = ("upstream", "assets.lock")  # what an edition may hold beside artifacts and sets


@dataclass(frozen=True)
class Edition:
    """Which artifacts and sets a storage has, and which files these are.

    `receipts` of artifacts and `publications` of sets, by name. `files`: further files by their
    paths in the storage. `pieces`: of each file that is longer than a piece, by its SHA-256, the
    SHA-256 of its pieces in order; `blocks`: the SHA-256 of the list of its blocks (see `blocks`).
    """

    catalog: str
    receipts: Mapping[str, Receipt]
    publications: Mapping[str, Publication]
    files: Mapping[str, FileRecord]
    pieces: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    blocks: Mapping[str, str] = field(default_factory=dict)

    def contents(self) -> dict[str, int]:
        """The size in bytes of every file, and of every list of blocks, by its SHA-256: each once,
        whatever the number of its places."""
        files = {record.sha256: record.size for _, record in self.places()}
        return files | {one: list_size(files[sha256]) for sha256, one in self.blocks.items()}

    def places(self) -> Iterator[tuple[str, FileRecord]]:
        """Every file with its path in the storage."""
        for name, receipt in self.receipts.items():
            for path, record in receipt.files.items():
                yield f"versions/{name}/{receipt.version}/{path}", record
        yield from self.files.items()

    def paths(self) -> dict[str, FileRecord]:
        """The files at the contract's paths. (A link of a publication may lead to a folder.)"""
        found = {}
        for publication in self.publications.values():
            for path, (artifact, linked) in sorted(publication.links.items()):
                for file, record in self.receipts[artifact].files.items():
                    if file == linked or file.startswith(f"{linked}/"):
                        found[f"{path}{file.removeprefix(linked)}"] = record
        return found

    def sequence_of(self, sha256: str, size: int) -> list[tuple[str, int]]:
        """The pieces of a file, or of a list of blocks, in order: SHA-256, and size in bytes."""
        if size <= PIECE or sha256 in self._lists:
            return [(sha256, size)]
        count = -(-size // PIECE)
        sizes = [PIECE] * (count - 1) + [size - PIECE * (count - 1)]
        return list(zip(self.pieces[sha256], sizes, strict=True))

    @cached_property
    def _lists(self) -> frozenset[str]:
        return frozenset(self.blocks.values())

    def objects(self) -> dict[str, int]:
        """The keys of all objects that this edition needs, with their sizes in bytes."""
        return {
            object_key(piece): length
            for sha256, size in self.contents().items()
            for piece, length in self.sequence_of(sha256, size)
        }

    def to_bytes(self) -> bytes:
        """The edition as it is stored: JSON, always the same for the same files."""
        return json_bytes(
            {
                "format": _FORMAT,
                "catalog": self.catalog,
                "piece": PIECE,
                "artifacts": {
                    name: json.loads(receipt.to_bytes())
                    for name, receipt in sorted(self.receipts.items())
                },
                "sets": {
                    name: json.loads(one.to_bytes())
                    for name, one in sorted(self.publications.items())
                },
                "files": {path: one._asdict() for path, one in sorted(self.files.items())},
                "pieces": {sha256: list(some) for sha256, some in sorted(self.pieces.items())},
                "blocks": dict(sorted(self.blocks.items())),
            }
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its bytes: its name."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def read(cls, bucket: Bucket, digest: str) -> Edition:
        """The edition of this name. Raises BucketError where it is not there, or damaged."""
        key = f"{EDITIONS}/{digest}.json"
        data = bucket.get(key)
        try:
            if data is None:
                raise ValueError("nothing")
            if hashlib.sha256(data).hexdigest() != digest:
                raise ValueError("other bytes than its name says")
            return cls._parse(json.loads(data))
        except (StorageError, *UNREADABLE) as error:
            raise damaged(bucket, key, error) from error

    @classmethod
    def _parse(cls, value: dict[str, Any]) -> Edition:
        if value["format"] != _FORMAT or value["piece"] != PIECE:
            raise ValueError(f"format {value['format']!r}, pieces of {value['piece']!r} bytes")
        receipts = {
            bounds.checked_name(name): Receipt.parse(json_bytes(one))
            for name, one in value["artifacts"].items()
        }
        publications = {
            bounds.checked_name(name): Publication.parse(json_bytes(one))
            for name, one in value["sets"].items()
        }
        files = {
            bounds.plain_path(path): FileRecord(typed(int, one["size"]), typed(str, one["sha256"]))
            for path, one in value["files"].items()
        }
        pieces = {sha256: tuple(some) for sha256, some in value["pieces"].items()}
        blocks = {sha256: typed(str, one) for sha256, one in value["blocks"].items()}
        edition = cls(typed(str, value["catalog"]), receipts, publications, files, pieces, blocks)
        edition._require_whole()
        return edition

    def _require_whole(self) -> None:
        """Raises ValueError unless everything that is named is named rightly, and all of it is."""
        if any(name != one.artifact for name, one in self.receipts.items()):
            raise ValueError("a receipt of another artifact")
        for name, publication in self.publications.items():
            members = {one: member.digest for one, member in publication.members.items()}
            here = {one: self.receipts[one].digest for one in members if one in self.receipts}
            if publication.name != name or members != here:
                raise ValueError(f"{name} without the artifacts that it was published from")
        if strange := {PurePosixPath(path).parts[0] for path in self.files} - set(_OTHER):
            raise ValueError(f"files in {', '.join(sorted(strange))}")
        for path, record in self.places():
            if record.size < 0 or not _SHA256.fullmatch(record.sha256):
                raise ValueError(f"{path}: no size and SHA-256")
        longer = {one.sha256: one.size for _, one in self.places() if one.size > PIECE}
        if longer.keys() != self.blocks.keys() or longer.keys() & self._lists:
            raise ValueError("not a list of blocks for each file that is longer than a piece")
        if any(list_size(size) > LARGEST for size in longer.values()):
            raise ValueError("a file that is too long")
        for sha256, size in self.contents().items():
            if not all(_SHA256.fullmatch(piece) for piece, _ in self.sequence_of(sha256, size)):
                raise ValueError(f"{sha256}: no SHA-256 of its pieces")


@dataclass(frozen=True)
class Head:
    """One publication of an edition: its number, the edition's name, when (UTC) and from where.
    `writer` is drawn by whoever publishes, and tells heads apart that are alike else."""

    number: int
    edition: str
    published_at: str
    host: str
    writer: str

    @property
    def key(self) -> str:
        """Where it lies."""
        return f"{HEADS}/{self.number:010}.json"

    def to_bytes(self) -> bytes:
        """The head as it is stored."""
        value: dict[str, Any] = {
            "number": self.number,
            "edition": self.edition,
            "published_at": self.published_at,
            "host": self.host,
            "writer": self.writer,
        }
        return json_bytes({**value, "seal": digest_of(value)})

    @classmethod
    def read(cls, bucket: Bucket, key: str) -> Head:
        """The head at `key`. Raises BucketError where it is damaged."""
        data = bucket.get(key)
        try:
            value = json.loads(data or b"nothing")
            head = cls(
                typed(int, value["number"]),
                typed(str, value["edition"]),
                typed(str, value["published_at"]),
                typed(str, value["host"]),
                typed(str, value["writer"]),
            )
            if head.to_bytes() != data or head.key != key or not _SHA256.fullmatch(head.edition):
                raise ValueError("a text that its own seal does not fit")
        except UNREADABLE as error:
            raise damaged(bucket, key, error) from error
        return head

    @classmethod
    def latest(cls, bucket: Bucket) -> Head | None:
        """What readers see now; None in an empty bucket."""
        keys = bucket.listing(HEADS)
        return cls.read(bucket, max(keys)) if keys else None

    @classmethod
    def publish(cls, bucket: Bucket, edition: str, after: int) -> Head | None:
        """Makes an edition, all of whose objects are there, the one that readers see; None where
        somebody else has published since the head of the number `after`."""
        head = cls(1 + after, edition, now(), host(), secrets.token_hex(8))
        # Some servers look whether an object is there before they write it, not while.
        with alone(bucket, "publishing"):
            if bucket.create(head.key, head.to_bytes()):
                return head
            # A request whose answer was lost is sent again, and finds what it wrote itself.
            return head if bucket.get(head.key) == head.to_bytes() else None


def last_number(bucket: Bucket) -> int:
    """The number of the last head, damaged or not; 0 in an empty bucket."""
    keys = bucket.listing(HEADS)
    name = PurePosixPath(max(keys)).stem if keys else "0"
    if not name.isdecimal():
        raise damaged(bucket, max(keys), ValueError("a name that is no number"))
    return int(name)


def current(bucket: Bucket) -> tuple[Head, Edition]:
    """What readers see now. Raises BucketError where nothing was pushed, or it is damaged."""
    head = Head.latest(bucket)
    if head is None:
        raise BucketError(
            "Nothing was pushed to this bucket",
            expected="what `wmtp push` writes",
            found="no edition",
            where=bucket.url,
            hint=f"`wmtp push {shlex.quote(bucket.url)}` where the storage is, or another URL.",
        )
    return head, Edition.read(bucket, head.edition)


def object_key(sha256: str) -> str:
    """Where a piece lies."""
    return f"{OBJECTS}/{sha256}"


def damaged(bucket: Bucket, key: str, error: Exception) -> BucketError:
    """The one error for a record in a bucket that is not what this package wrote."""
    url = shlex.quote(bucket.url)
    return BucketError(
        "A record in the bucket is damaged",
        expected="the text that this package wrote",
        found=str(error)[:300] or type(error).__name__,
        where=f"{bucket.url.rstrip('/')}/{key}",
        hint=f"`wmtp rollback {url}` goes back to the edition before; `wmtp push {url} --force` "
        "where the storage is writes everything again.",
    )
