"""What is published together, and the record of it: no disk is touched here but to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from wmtp_assets.storage import bounds, receipts
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.digests import digest_of
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.receipts import Receipt

RECORD = "publication.json"
_OURS = ("versions", "published", "upstream", ".locks", RECORD)


class Member(NamedTuple):
    """One version of an artifact, in a publication."""

    version: str
    digest: str


@dataclass(frozen=True)
class PublishedSet:
    """What is to be published together.

    `links`: contract path, relative to the storage's root -> (artifact, file in it). `mounts`: the
    files and folders among the contract's paths that become links; each link is at or below
    exactly one mount. Raises `StorageError` when they do not fit together.
    """

    name: str
    links: Mapping[str, tuple[str, str]]
    mounts: Sequence[str]

    def __post_init__(self) -> None:
        bounds.checked_name(self.name)
        for path in (*self.links, *self.mounts):
            bounds.checked_path(path)
            if PurePosixPath(path).parts[0] in _OURS:
                raise StorageError("This path is the storage's own", found=path, where=self.name)
        for artifact, file in self.links.values():
            bounds.checked_name(artifact)
            bounds.checked_path(file)
        mounts = [PurePosixPath(mount) for mount in self.mounts]
        for path in self.links:
            above = [str(mount) for mount in mounts if PurePosixPath(path).is_relative_to(mount)]
            if len(above) != 1:
                raise StorageError(
                    "A published file must be below exactly one mount",
                    expected="one mount at or above it",
                    found=above or "none",
                    where=f"{self.name}: {path}",
                )

    @property
    def artifacts(self) -> list[str]:
        """The members' names, sorted."""
        return sorted({artifact for artifact, _ in self.links.values()})


@dataclass(frozen=True)
class Publication:
    """One version of a set, as it was published.

    `members`: artifact -> its version and digest. `sequence` counts the set's publications.
    `replaced` is the version that was current before this one, the one that `rollback` goes to.
    """

    name: str
    members: Mapping[str, Member]
    links: Mapping[str, tuple[str, str]]
    mounts: Sequence[str]
    sequence: int
    replaced: str | None
    made_at: str

    @cached_property
    def version(self) -> str:
        """Twelve digits over what is published, not over when."""
        return digest_of([self.name, self.members, self.links, list(self.mounts)])[:12]

    def to_bytes(self) -> bytes:
        """The record as it is stored."""
        value = {
            "set": self.name,
            "version": self.version,
            "members": {
                artifact: member._asdict() for artifact, member in sorted(self.members.items())
            },
            "links": dict(sorted(self.links.items())),
            "mounts": list(self.mounts),
            "sequence": self.sequence,
            "replaced": self.replaced,
            "made_at": self.made_at,
        }
        value["seal"] = digest_of(value)
        return json_bytes(value)

    @classmethod
    def read(cls, path: Path) -> Publication:
        """Reads and checks a stored record; raises `StorageError` when it is damaged."""
        try:
            publication = _read(receipts.record_bytes(path))
        except (*receipts.UNREADABLE, StorageError) as error:
            raise receipts.why_unread(path, error) from error
        if publication is None or path.parent.name != publication.version:
            raise receipts.damaged(path, "a text that its own seal does not fit")
        return publication

    @classmethod
    def parse(cls, data: bytes) -> Publication:
        """The publication that these bytes are; `StorageError` or one of `receipts.UNREADABLE`
        where they are none."""
        publication = _read(data)
        if publication is None:
            raise ValueError("a text that its own seal does not fit")
        return publication

    @classmethod
    def of(cls, wanted: PublishedSet, members: Mapping[str, Receipt]) -> Publication:
        """A set as these versions of its artifacts make it; not yet in any order."""
        return cls(
            name=wanted.name,
            members={
                artifact: Member(receipt.version, receipt.digest)
                for artifact, receipt in members.items()
            },
            links=dict(wanted.links),
            mounts=list(wanted.mounts),
            sequence=0,
            replaced=None,
            made_at=receipts.now(),
        )


@lru_cache(maxsize=64)
def _read(data: bytes) -> Publication | None:
    """The publication that these very bytes are, None if their seal does not fit."""
    value: dict[str, Any] = json.loads(data)
    publication = Publication(
        name=value["set"],
        members={
            bounds.checked_name(name): Member(**member) for name, member in value["members"].items()
        },
        links={
            bounds.plain_path(path): (bounds.checked_name(artifact), bounds.plain_path(file))
            for path, (artifact, file) in value["links"].items()
        },
        mounts=[bounds.plain_path(mount) for mount in value["mounts"]],
        sequence=receipts.typed(int, value["sequence"]),
        replaced=receipts.typed((str, type(None)), value["replaced"]),
        made_at=receipts.typed(str, value["made_at"]),
    )
    for member in publication.members.values():
        if not bounds.VERSION.fullmatch(member.version):
            raise ValueError(f"{member.version!r} is no version")
    if {artifact for artifact, _ in publication.links.values()} - publication.members.keys():
        raise ValueError("a link to an artifact that is no member")
    return publication if publication.to_bytes() == data else None
