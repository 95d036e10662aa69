"""A fingerprint of an artifact's files: whether anything that its checks read has changed.

Every file is identified by device, inode, size and times; no contents are read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.inputs import locked
from wmtp_assets.artifacts.checks.of_kind import checks_of_kind
from wmtp_assets.artifacts.released_weights import checkpoint_of, record_of
from wmtp_assets.artifacts.types import fetched
from wmtp_assets.artifacts.upstream_files import UpstreamFiles
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.hub.lock import LockError
from wmtp_assets.storage import walks
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.receipts import UNREADABLE

Identity = tuple[object, ...]
_TICK_SECONDS = 0.02  # a file that is changed twice within a tick of the clock has one time


def identity_of(project: Project, artifact: Artifact) -> Identity | None:
    """What stands for every file that the checks of an artifact may read: its own, those of all
    that it is made from, what was fetched, and the records of both. None where one is missing. What
    they look at beside it may be missing."""
    for _ in range(100):
        try:
            found = tuple(_identities(project, artifact))
        except (LockError, StorageError, *UNREADABLE):
            return None
        newest = max((file.changed for file in found if isinstance(file, _File)), default=0)
        age = time.time_ns() - newest
        if age > _TICK_SECONDS * 1e9:
            return found
        if age < -1e9:  # a file server whose clock is ahead, or a clock that was set back
            return None
        time.sleep(_TICK_SECONDS)  # so that a later change has another time
    return None


class _File(NamedTuple):
    """A file as it is now; of one that is not there, its path alone."""

    path: str
    link: bool = False
    device: int = 0
    inode: int = 0
    size: int = 0
    modified: int = 0
    changed: int = 0


def _identities(project: Project, artifact: Artifact) -> Iterator[object]:
    for name in _read_by(project, artifact):
        yield name, str((project.store.versions.home(name) / "current").readlink())
        yield from map(_file, _below(project.store.path(name)))
        if not project.artifacts[name].is_fetched:
            continue
        paths = fetched(project.store, name).paths()
        yield from map(_file, paths.values())
        yield _file(record_of(project, name))
        # Not the file of assets.lock: every fetch adds to it.
        repo = locked(project, UpstreamFiles.of(project.artifacts[name]).repo)
        yield None if repo is None else (repo.commit, [repo.files.get(path) for path in paths])
    for name in checks_of_kind(artifact).beside(project, artifact):
        current = project.store.versions.home(name) / "current"
        there = current.is_symlink()
        yield name, str(current.readlink()) if there else None
        yield from map(_file, _below(project.store.path(name)) if there else ())


def _read_by(project: Project, artifact: Artifact) -> list[str]:
    """The artifact and all that it is made from; where weights are released, also the checkpoint
    that stands for them."""
    found: set[str] = set()
    waiting = [artifact.name]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += project.artifacts[name].inputs
        made = checkpoint_of(project, name) if record_of(project, name).exists() else None
        waiting += [made.name] if made is not None else []
    return sorted(found)


def _below(folder: Path) -> Iterator[Path]:
    for above, folders, others in walks.walk(folder):
        for name in sorted([*folders, *others]):
            yield above / name


def _file(path: Path) -> _File:
    try:
        found = path.stat()
    except FileNotFoundError:
        return _File(str(path))
    return _File(
        str(path),
        path.is_symlink(),
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )
