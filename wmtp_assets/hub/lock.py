"""assets.lock: which bytes this storage was made from.

Per repository the commit; per file its size, SHA-256 and the time it arrived. Two machines with
the same lock get the same bytes. The file is JSON with sorted keys, meant to be read, compared
and copied; every change is a whole new file, made under a lock between processes.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from wmtp_assets.errors import WmtpError
from wmtp_assets.hub.aside import kind_of, set_aside
from wmtp_assets.hub.files import LOCK_NAME, UNPINNED, RepoId, is_fixed
from wmtp_assets.storage.atomic import write_json
from wmtp_assets.storage.locks import exclusive

_LOG = logging.getLogger(__name__)
_FORMAT = 1
_LARGEST = 64 << 20  # bytes


class LockError(WmtpError):
    """assets.lock is not what this package writes."""


@dataclass(frozen=True)
class LockedFile:
    """One file's record: `size` in bytes, `sha256` in hex, `fetched_at` in UTC (ISO 8601)."""

    size: int
    sha256: str
    fetched_at: str


@dataclass(frozen=True)
class LockedRepo:
    """One repository's record: its commit, and its files by path."""

    commit: str
    files: Mapping[str, LockedFile]


class Lock:
    """The record at `path`; a file that is not there yet is an empty record."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def repos(self) -> dict[str, LockedRepo]:
        """Every repository by its folder (`models/<org>/<name>`), as the file says now.

        Raises LockError where something is there that is not a record.
        """
        if not os.path.lexists(self.path):
            return {}
        try:
            return _parse(json.loads(_read(self.path)))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise LockError(
                f"{LOCK_NAME} cannot be read",
                expected=f"the JSON that this package writes (format {_FORMAT})",
                found=f"{type(error).__name__}: {str(error)[:200]}",
                where=self.path,
                hint="restore it from a copy, or remove it: files are then verified against "
                "the Hub and the catalog alone, and it is written anew.",
            ) from None

    def known(self, repo: RepoId) -> LockedRepo | None:
        """As `repo`, before a fetch: an unreadable record counts as none.

        `record` then sets it aside.
        """
        try:
            return self.repo(repo)
        except LockError:
            return None

    def repo(self, repo: RepoId) -> LockedRepo | None:
        """What is recorded of one repository, if anything."""
        return self.repos().get(repo.folder)

    def commit(self, repo: RepoId) -> str | None:
        """The commit that a repository's files came from, if any were recorded."""
        locked = self.repo(repo)
        return locked.commit if locked else None

    def file(self, repo: RepoId, path: str) -> LockedFile | None:
        """The record of one file, if any."""
        locked = self.repo(repo)
        return locked.files.get(path) if locked else None

    def record(
        self,
        repo: RepoId,
        commit: str,
        path: str,
        size: int,
        sha256: str,
        note: Callable[[str], None] = _LOG.warning,
    ) -> None:
        """Record that a file is there and verified.

        A file that is recorded with the same bytes keeps its time, so that a second call changes
        nothing. When the commit moved, the old commit's records are dropped: they were another
        revision's. A record that cannot be read is set aside, which `note` reports.
        """
        with exclusive(self.path.parent / ".locks" / self.path.name) as claim:
            try:
                repos = self.repos()
            except LockError as error:
                set_aside(self.path, str(error.found), note)
                repos = {}
            old = repos.get(repo.folder)
            files = dict(old.files) if old and old.commit == commit else {}
            known = files.get(path)
            if known and (known.size, known.sha256) == (size, sha256):
                return
            now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            files[path] = LockedFile(size, sha256, now)
            repos[repo.folder] = LockedRepo(commit, files)
            claim.require()
            write_json(self.path, _plain(repos))

    def merge(self, data: bytes) -> None:
        """Takes over what another storage's record says of its repositories, which replaces what is
        said of them here. Raises LockError where either cannot be read.
        """
        try:
            others = _parse(json.loads(data))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise LockError(
                f"A copy of {LOCK_NAME} cannot be read",
                expected=f"the JSON that this package writes (format {_FORMAT})",
                found=f"{type(error).__name__}: {str(error)[:200]}",
            ) from None
        with exclusive(self.path.parent / ".locks" / self.path.name) as claim:
            repos = self.repos()
            if repos | others != repos:
                claim.require()
                write_json(self.path, _plain(repos | others))


def _read(path: Path) -> bytes:
    """The file's bytes; a pipe, a device or gigabytes are no record, and are not read."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as handle:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{kind_of(status.st_mode)}, not a file")
        if status.st_size > _LARGEST:
            raise ValueError(f"{status.st_size:,} bytes")
        return handle.read()


def _parse(value: object) -> dict[str, LockedRepo]:
    top = _object(value, "the record")
    if top["format"] != _FORMAT:
        raise ValueError(f"format {top['format']!r}")
    return {
        folder: LockedRepo(
            _commit(_object(entry, folder)["commit"]),
            {
                path: _file(_object(file, path))
                for path, file in _object(_object(entry, folder)["files"], folder).items()
            },
        )
        for folder, entry in _object(top["repos"], "repos").items()
    }


def _commit(value: object) -> str:
    if isinstance(value, str) and (value == UNPINNED or is_fixed(value)):
        return value
    raise ValueError(f"{str(value)[:80]!r} where a commit of 40 hex digits belongs")


def _file(entry: Mapping[str, object]) -> LockedFile:
    size = entry["size"]
    if type(size) is not int or not 0 <= size < 1 << 63:
        raise ValueError(f"a size of {str(size)[:40]}")
    return LockedFile(
        size,
        _text(entry["sha256"], re.compile(r"[0-9a-f]{64}")),
        _text(entry["fetched_at"], re.compile(r"[0-9TZ:.+-]{1,40}")),
    )


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{what[:80]} is not an object")
    return value


def _text(value: object, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise ValueError(f"{str(value)[:80]!r} where {form.pattern} belongs")
    return value


def _plain(repos: Mapping[str, LockedRepo]) -> dict[str, object]:
    return {
        "format": _FORMAT,
        "repos": {
            folder: {
                "commit": repo.commit,
                "files": {path: asdict(file) for path, file in sorted(repo.files.items())},
            }
            for folder, repo in sorted(repos.items())
        },
    }
