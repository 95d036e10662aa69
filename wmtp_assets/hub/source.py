"""The interface of every source, the Hub or a directory mirror, and how one is opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from wmtp_assets.hub.files import RemoteFile, RepoId
from wmtp_assets.hub.retry import Policy


class Body(Protocol):
    """Bytes on their way. `start` is the offset in the file of the first of them."""

    @property
    def start(self) -> int: ...

    @property
    def ranged(self) -> bool:
        """Whether the source supports ranges (an HTTP 206), not the whole file from 0."""
        ...

    @property
    def etag(self) -> str | None:
        """A strong validator of what is sent, fit for If-Range; None when there is none."""
        ...

    @property
    def length(self) -> int | None:
        """How many bytes the source says will come; None when it does not say."""
        ...

    @property
    def total(self) -> int | None:
        """The size of the whole file as the source states it; None when it does not say."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """The bytes in order. Raises RetryableError when they end early, break off or stall."""
        ...


class Place(Protocol):
    """Where one file can be read at the moment (a signed URL expires).

    `etag` is the source's name for these bytes, None where it has none; `size` in bytes.
    """

    @property
    def commit(self) -> str: ...

    @property
    def etag(self) -> str | None: ...

    @property
    def size(self) -> int | None: ...

    def open(
        self, start: int, stop: int | None, if_range: str | None
    ) -> AbstractContextManager[Body]:
        """Bytes `start` up to but without `stop` (None: to the end), if still `if_range`'s.

        A source that cannot send a range, or whose file is no longer `if_range`'s, sends the
        whole file, and `Body.start` is 0. Raises RangeRefusedError, RetryableError, HubError.
        """
        ...


class Hub(Protocol):
    """A source of repositories. `spec` names it in messages and holds no credentials."""

    @property
    def spec(self) -> str: ...

    @property
    def policy(self) -> Policy: ...

    @property
    def connections(self) -> int:
        """How many connections for one big file are of use here."""
        ...

    def head(self, repo: RepoId) -> str:
        """Upstream's current commit."""
        ...

    def resolve(self, repo: RepoId, revision: str) -> str:
        """The commit that a branch, tag or commit names now."""
        ...

    def files(self, repo: RepoId, revision: str) -> list[RemoteFile]:
        """Every file of the repository at a revision, by path."""
        ...

    def locate(self, repo: RepoId, commit: str, path: str) -> Place:
        """Where one file's bytes are; asks upstream anew at every call."""
        ...


def open_hub(spec: str | None, policy: Policy | None = None, is_sample: bool = False) -> Hub:
    """The source that `spec` names: None is the Hub (HF_ENDPOINT, HF_TOKEN), else a directory.

    `is_sample`: the directory is the generated sample, which the catalog's `hub: sample` chose.
    """
    if spec is None:
        from wmtp_assets.hub.remote import RemoteHub

        return RemoteHub(policy or Policy())
    from wmtp_assets.hub.directory import DirectoryHub

    return DirectoryHub(Path(spec), policy or Policy(), is_sample)
