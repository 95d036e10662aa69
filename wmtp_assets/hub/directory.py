"""The Hub as a folder: `models/<org>/<name>/<path>` and `datasets/<org>/<name>/<path>`.

What air-gapped clusters have, what `wmtp mirror` writes, and what the sample is. Its files are
copied and verified by the same code as the Hub's; only listing and reading differ, and are here.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.hub.aside import kind_of
from wmtp_assets.hub.files import LOCK_NAME, UNPINNED, RemoteFile, RepoId, is_fixed
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.names import check_name
from wmtp_assets.hub.refusals import (
    HubError,
    NoSuchFileError,
    NoSuchRepoError,
    NoSuchRevisionError,
    RangeRefusedError,
)
from wmtp_assets.hub.retry import Policy, RetryableError
from wmtp_assets.storage import walks

_READ = 1 << 20  # bytes per read; large enough that system calls cost nothing


class DirectoryHub:
    """A directory mirror at `root`; an assets.lock at its root records commits and digests."""

    connections = 1  # a disk gives nothing more to a second reader

    def __init__(self, root: Path, policy: Policy, is_sample: bool = False) -> None:
        self.root = root
        self.is_sample = is_sample
        self.policy = policy
        self._lock = Lock(root / LOCK_NAME)

    @property
    def spec(self) -> str:
        return str(self.root)

    @property
    def completion(self) -> str:
        """What a person does about a repository or file that this mirror lacks."""
        if self.is_sample:
            return (
                "the catalog's line `hub: sample` takes files from the generated sample, which has "
                "only its own: remove that line to fetch from the Hub, or set WMTP_HUB to a "
                "directory mirror that has them."
            )
        command = f"env -u WMTP_HUB wmtp mirror {shlex.quote(str(self.root))}"
        return f"fetch what the mirror that WMTP_HUB names lacks: `{command}`"

    def head(self, repo: RepoId) -> str:
        self._folder(repo)
        return self._lock.commit(repo) or UNPINNED

    def resolve(self, repo: RepoId, revision: str) -> str:
        """The commit of the mirror's lock, which is all it has.

        A folder without a record answers to every revision: it does not know its commit, and
        the catalog's digests decide. One with a record answers to its own commit, and to a branch
        or tag (which it takes for the one it was made from).
        """
        held = self.head(repo)
        if held not in (UNPINNED, revision) and is_fixed(revision):
            raise NoSuchRevisionError(
                f"The mirror has another commit of {repo}",
                expected=revision,
                found=held,
                where=self.root / LOCK_NAME,
                hint="mirror the commit that the catalog names, or name the mirror's commit "
                "in the catalog.",
            )
        return held

    def files(self, repo: RepoId, revision: str) -> list[RemoteFile]:
        self.resolve(repo, revision)
        folder = self._folder(repo)
        locked = self._lock.repo(repo)
        records = locked.files if locked else {}
        found = []
        for name, size in _sizes(folder).items():
            record = records.get(name)
            size = record.size if record else size
            found.append(RemoteFile(name, size, record.sha256 if record else None))
        return found

    def locate(self, repo: RepoId, commit: str, path: str) -> _FilePlace:
        file = self._folder(repo) / check_name(path)
        try:
            status = file.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise self._no_file(repo, path, file, "nothing there") from None
        except OSError as error:
            raise _unreadable(error, file) from None
        if not stat.S_ISREG(status.st_mode):
            raise self._no_file(repo, path, file, kind_of(status.st_mode))
        return _FilePlace(file, commit, f"{status.st_size}-{status.st_mtime_ns}", status.st_size)

    def _folder(self, repo: RepoId) -> Path:
        folder = self.root / repo.folder
        try:
            found = _missing(self.root, folder)
        except OSError as error:
            raise _unreadable(error, folder) from None
        if found is not None:
            raise NoSuchRepoError(
                f"The mirror has no {repo.kind} {repo}",
                expected=f"a folder {folder}",
                found=found,
                hint=self.completion
                if self.is_sample
                else "point WMTP_HUB at a folder laid out as models/<org>/<name>/<path> and "
                f"datasets/<org>/<name>/<path>, or {self.completion}",
            )
        return folder

    def _no_file(self, repo: RepoId, path: str, file: Path, found: str) -> NoSuchFileError:
        return NoSuchFileError(
            f"The mirror has no file {path} of {repo}",
            expected="a file",
            found=found,
            where=file,
            hint=self.completion if self.is_sample else f"copy it there, or {self.completion}",
        )


def _missing(root: Path, folder: Path) -> str | None:
    """What is in the place of a mirror or its repository; None when it is there and readable."""
    for place in (root, folder):
        try:
            mode = place.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return f"nothing at {place}"
        if not stat.S_ISDIR(mode):
            return f"{kind_of(mode)} at {place}"
        os.close(os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    return None


def _sizes(folder: Path) -> dict[str, int]:
    """The files below a repository's folder with their sizes in bytes, sorted by path: a mirror may
    be the `upstream` of a storage, from which `gc --raw` takes files away."""
    found = {}
    for path in sorted(walks.files_below(folder, denied=True)):
        with suppress(FileNotFoundError):
            if path.is_file():  # a link to a file counts
                found[path.relative_to(folder).as_posix()] = path.stat().st_size
    return found


def _unreadable(error: OSError, where: object) -> HubError:
    return HubError(
        "The mirror cannot be read",
        found=error.strerror,
        where=where,
        hint="give this user the right to read it, or check the disk or the network mount that it "
        "is on; WMTP_HUB names the mirror.",
    )


@dataclass(frozen=True)
class _FilePlace:
    """A file of the mirror; its etag is its size and modification time."""

    file: Path
    commit: str
    etag: str
    size: int

    @contextmanager
    def open(self, start: int, stop: int | None, if_range: str | None) -> Iterator[_FileBody]:
        try:
            handle = self.file.open("rb", buffering=0)
        except OSError as error:
            raise _unreadable(error, self.file) from None
        with handle:
            status = os.fstat(handle.fileno())
            etag = f"{status.st_size}-{status.st_mtime_ns}"
            if if_range not in (None, etag):
                start, stop = 0, None
            if start > status.st_size:
                raise RangeRefusedError
            end = min(stop if stop is not None else status.st_size, status.st_size)
            yield _FileBody(handle.fileno(), start, etag, end - start, status.st_size, self.file)


@dataclass(frozen=True)
class _FileBody:
    fd: int
    start: int
    etag: str
    length: int
    total: int
    file: Path
    ranged: bool = True

    def chunks(self) -> Iterator[bytes]:
        at, end = self.start, self.start + self.length
        while at < end:
            try:
                chunk = os.pread(self.fd, min(_READ, end - at), at)
            except OSError as error:
                raise _unreadable(error, f"{self.file}, byte {at}") from None
            if not chunk:
                raise RetryableError(
                    "The mirror's file became shorter while it was read",
                    expected=f"{end} bytes",
                    found=f"{at} bytes",
                    where=self.file,
                )
            at += len(chunk)
            yield chunk
