"""What a bucket holds of one storage at one moment.

An edition's name is the SHA-256 of its bytes, and it names every file by SHA-256: whoever knows the
name can tell whether all that was read is what was pushed.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

from wmtp_assets.bucket.access import BucketError
from wmtp_assets.bucket.blocks import list_size
from wmtp_assets.bucket.place import LARGEST, Bucket
from wmtp_assets.generations import FOLDERS as CONTRACT_FOLDERS
from wmtp_assets.storage import bounds
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.publications import Publication, PublishedSet
from wmtp_assets.storage.receipts import NAME as RECEIPT
from wmtp_assets.storage.receipts import UNREADABLE, FileRecord, Receipt, typed

PIECE = 8 << 20
"""Bytes in a piece. What is read, hashed and sent at once: a few of them are all that is in memory,
and all that is sent twice when a push was killed."""

OBJECTS, EDITIONS = "objects", "editions"
_FORMAT = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
# What an edition may hold beside artifacts and sets.
_UPSTREAM, LOCK_NAME = "upstream", "assets.lock"
# Bytes of a record at most. An edition of a thousand artifacts has some megabytes.
_LONGEST = _LONGEST_LOCK = 64 << 20
_NO_LOCK = FileRecord(0, "")
_LONGEST_NAME = 200


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

    def require_readable(self) -> None:
        """Raises BucketError where `read` would refuse it: then it is not to be published."""
        try:
            self._require_whole()
            if len(self.to_bytes()) > _LONGEST:
                raise ValueError(f"a record of more than {_LONGEST} bytes")
        except (StorageError, ValueError) as error:
            raise BucketError(
                "This cannot be an edition, and is not published",
                expected="files that can be put into a storage, each with one size",
                found=error,
                hint="`wmtp verify --deep` says what is damaged; else push a selection.",
            ) from error

    @classmethod
    def read(cls, bucket: Bucket, digest: str) -> Edition:
        """The edition of this name. Raises BucketError where it is not there, or damaged."""
        key = edition_key(digest)
        data = bucket.get(key, _LONGEST)
        try:
            if data is None:
                raise ValueError("nothing")
            if hashlib.sha256(data).hexdigest() != digest:
                raise ValueError("other bytes than its name says")
            edition = cls._parse(json.loads(data))
            # So nothing is in it that was not looked at: no key that is unknown or there twice.
            if edition.to_bytes() != data:
                raise ValueError("another text than this package writes")
            return edition
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
        """Raises ValueError or StorageError unless everything that is named is named rightly, all
        of it is, and can be put into a storage."""
        if not self.catalog.isprintable() or len(self.catalog) > _LONGEST_NAME:
            raise ValueError("a catalog's name that cannot be printed")
        if any(name != one.artifact for name, one in self.receipts.items()):
            raise ValueError("a receipt of another artifact")
        for name, publication in self.publications.items():
            members = {one: member.digest for one, member in publication.members.items()}
            here = {one: self.receipts[one].digest for one in members if one in self.receipts}
            if publication.name != name or members != here:
                raise ValueError(f"{name} without the artifacts that it was published from")
            PublishedSet(name, publication.links, publication.mounts)
            _require_files(publication.links)
            for path in (*publication.links, *publication.mounts):
                if PurePosixPath(path).parts[0] not in CONTRACT_FOLDERS:
                    raise ValueError(f"{path!a}, which is in no folder of the contract")
        for path in self.files:
            if path != LOCK_NAME and not path.startswith(f"{_UPSTREAM}/"):
                raise ValueError(f"{path!a}, which is neither a fetched file nor {LOCK_NAME}")
        if self.files.get(LOCK_NAME, _NO_LOCK).size > _LONGEST_LOCK:
            raise ValueError(f"{LOCK_NAME} of more than {_LONGEST_LOCK} bytes")
        if any(RECEIPT in one.files or not one.files for one in self.receipts.values()):
            raise ValueError(f"an artifact without files, or with a file {RECEIPT}")
        _require_files(path for path, _ in self.places())
        _require_files(path for one in self.publications.values() for path in one.mounts)
        sizes: dict[str, int] = {}
        for path, record in self.places():
            if (
                type(record.size) is not int
                or record.size < 0
                or not _SHA256.fullmatch(record.sha256)
            ):
                raise ValueError(f"{path}: no size and SHA-256")
            if sizes.setdefault(record.sha256, record.size) != record.size:
                raise ValueError(f"{path}: another size than a file of the same SHA-256")
        longer = {sha256: size for sha256, size in sizes.items() if size > PIECE}
        if not (longer.keys() == self.blocks.keys() == self.pieces.keys()):
            raise ValueError("not a list of blocks for each file that is longer than a piece")
        if any(list_size(size) > LARGEST for size in longer.values()):
            raise ValueError("a file that is too long")
        if longer.keys() & self._lists:
            raise ValueError("a file that is a list of blocks, too")
        for sha256, one in self.blocks.items():
            if sizes.setdefault(one, list_size(longer[sha256])) != list_size(longer[sha256]):
                raise ValueError(f"{one}: a list of blocks of another size")
        for sha256, size in self.contents().items():
            if not all(_SHA256.fullmatch(piece) for piece, _ in self.sequence_of(sha256, size)):
                raise ValueError(f"{sha256}: no SHA-256 of its pieces")


def _require_files(paths: Iterable[str]) -> None:
    """Raises ValueError where a path is another's folder, or there twice."""
    for one, after in pairwise(sorted(path.split("/") for path in paths)):
        if after[: len(one)] == one:
            raise ValueError(f"{'/'.join(one)!a} and {'/'.join(after)!a}, which cannot both be")


def edition_key(digest: str) -> str:
    """Where an edition lies."""
    return f"{EDITIONS}/{digest}.json"


def object_key(sha256: str) -> str:
    """Where a piece lies."""
    return f"{OBJECTS}/{sha256}"


class DamagedRecordError(BucketError):
    """A head or an edition is not what this package wrote."""


def damaged(bucket: Bucket, key: str, error: Exception) -> DamagedRecordError:
    """The one error for a record in a bucket that is not what this package wrote."""
    url = shlex.quote(bucket.url)
    return DamagedRecordError(
        "A record in the bucket is damaged",
        expected="the text that this package wrote",
        found=str(error)[:300] or type(error).__name__,
        where=f"{bucket.url.rstrip('/')}/{key}",
        hint=f"`wmtp rollback {url}` goes back to the edition before; `wmtp push {url} --force` "
        "where the storage is writes everything again.",
    )
