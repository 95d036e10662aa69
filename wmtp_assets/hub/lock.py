"""assets.lock: which bytes this storage was made from.

Per repository the commit; per file its size, SHA-256 and the time it arrived. Two machines with
the same lock get the same bytes. The file is JSON with sorted keys, meant to be read, compared
and copied; every change is a whole new file, made under a lock that other processes honour.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from wmtp_assets.errors import WmtpError
from wmtp_assets.hub.files import RepoId
from wmtp_assets.storage.atomic import write_json
from wmtp_assets.storage.locks import exclusive

_FORMAT = 1


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
        """Every repository by its folder (`models/<org>/<name>`), as the file says now."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        try:
            return _parse(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LockError(
                "assets.lock cannot be read",
                expected=f"the JSON that this package writes (format {_FORMAT})",
                found=f"{type(error).__name__}: {error}",
                where=self.path,
                mend="restore it from a copy, or remove it: files are then verified against "
                "the Hub and the catalog alone, and it is written anew.",
            ) from None

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

    def record(self, repo: RepoId, commit: str, path: str, size: int, sha256: str) -> None:
        """Write down that a file stands verified.

        A file that is recorded with the same bytes keeps its time, so that a second call changes
        nothing. When the commit moved, the old commit's files are forgotten: they were another
        revision's.
        """
        with exclusive(self.path.parent / ".locks" / self.path.name):
            repos = self.repos()
            old = repos.get(repo.folder)
            files = dict(old.files) if old and old.commit == commit else {}
            known = files.get(path)
            if known and (known.size, known.sha256) == (size, sha256):
                return
            now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
            files[path] = LockedFile(size, sha256, now)
            repos[repo.folder] = LockedRepo(commit, files)
            write_json(self.path, _plain(repos))


def _parse(value: dict[str, object]) -> dict[str, LockedRepo]:
    if value["format"] != _FORMAT:
        raise ValueError(f"format {value['format']!r}")
    repos = value["repos"]
    if not isinstance(repos, dict):
        raise TypeError("repos is not an object")
    return {
        folder: LockedRepo(
            commit=str(entry["commit"]),
            files={
                path: LockedFile(int(f["size"]), str(f["sha256"]), str(f["fetched_at"]))
                for path, f in entry["files"].items()
            },
        )
        for folder, entry in repos.items()
    }


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
