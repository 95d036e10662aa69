"""The types of this package: repositories and files, as upstream lists them and as they arrived.

Plain values only; what can be done with them is in the other modules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from wmtp_assets.errors import WmtpError

Kind = Literal["model", "dataset"]

LOCK_NAME = "assets.lock"
"""The record of commits and digests at the root of a storage or a directory mirror."""
UNPINNED = "directory"
"""What stands for the commit of a directory mirror that records none: whatever is there."""

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_OF_THE_SAMPLE = re.compile(r"sample-[0-9]{1,9}")


@dataclass(frozen=True, order=True)
class RepoId:
    """A repository on the Hub: `RepoId("model", "facebook/multi-token-prediction")`.

    Raises WmtpError when the name could not be one (it becomes a folder's name and part of a URL).
    """

    kind: Kind
    name: str

    def __post_init__(self) -> None:
        segments = self.name.split("/")
        sound = len(segments) <= 2 and all(
            _SEGMENT.fullmatch(segment) and ".." not in segment for segment in segments
        )
        if not sound or self.kind not in ("model", "dataset"):
            raise WmtpError(
                "This is not the name of a repository",
                expected='kind "model" or "dataset", and a name like org/name',
                found=f"{self.kind!r}, {self.name!r}",
            )

    @property
    def folder(self) -> str:
        """The folder of its files in a directory mirror: `models/<org>/<name>`."""
        return f"{self.kind}s/{self.name}"

    @property
    def page(self) -> str:
        """Its path on the Hub's website, without the host."""
        return self.name if self.kind == "model" else f"datasets/{self.name}"

    def __str__(self) -> str:
        return self.page


def is_commit(revision: str) -> bool:
    """Whether a revision is a commit (40 hex digits), not a branch or a tag."""
    return _COMMIT.fullmatch(revision) is not None


def is_fixed(revision: str) -> bool:
    """Whether a revision names the same files for ever: a commit, or a version of the sample
    (`sample-4`), which no repository has as a commit."""
    return is_commit(revision) or _OF_THE_SAMPLE.fullmatch(revision) is not None


@dataclass(frozen=True)
class RemoteFile:
    """A file as upstream lists it at one commit.

    `size` in bytes, None where upstream does not say. `sha256` where upstream has it (Git LFS, or
    a mirror's record). `git_blob` is git's own SHA-1 of a file kept in git itself, which identifies
    the small files that have no SHA-256 upstream. `hidden`: there is a digest, which upstream does
    not show to this reader (a gated repository).
    """

    path: str
    size: int | None
    sha256: str | None = None
    git_blob: str | None = None
    hidden: bool = False


@dataclass(frozen=True)
class WantedFile:
    """A file that is to be fetched, with what the catalog already knows of it (bytes, hex)."""

    path: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class WantedRepo:
    """What is fetched from one repository: `revision` is a commit, or a branch still to be pinned.

    `licence` and `gated` are from the catalog, for the doctor.
    """

    repo: RepoId
    revision: str
    files: tuple[WantedFile, ...]
    licence: str = "not stated"
    gated: bool = False


@dataclass(frozen=True)
class Fetched:
    """A file that is there under its name, verified.

    `seconds` is wall time spent on it; `resumed_from` counts the bytes that an earlier call had
    left and that were kept; `received` the bytes that were asked of the source in this call (0
    when the file already stood there and was verified again); `retries` how often we came back.
    """

    path: str
    size: int
    sha256: str
    seconds: float
    resumed_from: int
    retries: int
    received: int
