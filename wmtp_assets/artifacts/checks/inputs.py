"""How checks find what they are about: the handle of an artifact that exists, or StorageError."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.released_weights import released
from wmtp_assets.artifacts.types import Fetched, demand, fetched
from wmtp_assets.hub.files import RepoId
from wmtp_assets.hub.lock import LockedRepo
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.receipts import Receipt


def place(project: Project, name: str) -> tuple[Path, Receipt]:
    """The folder and the receipt of an artifact that exists; raises StorageError otherwise."""
    receipt = demand(project.store, name)
    return project.store.path(name), receipt


def source(project: Project, name: str) -> Fetched:
    """As `fetched`, for reading: raises StorageError unless every file is there in its size, or
    was released."""
    files = fetched(project.store, name)
    gone = released(project, name)
    for path, problem in files.lost().items():
        if gone is not None and path in gone.files:
            continue
        raise StorageError(
            "A fetched file is not what arrived",
            expected=f"{files.files()[path]['size']} bytes",
            found=problem,
            where=files.upstream / path,
            hint=f"wmtp materialize {name} --force",
        )
    return files


def locked(project: Project, repo: RepoId) -> LockedRepo | None:
    """What assets.lock records of a repository. Raises StorageError where it is no plain file,
    LockError where it says nothing."""
    path = project.lock.path
    if path.exists() and not path.is_file():
        raise StorageError(
            "assets.lock is not what this package writes",
            expected="a file",
            found="something else",
            where=path,
            hint=f"move it away (`mv {quote(str(path))} {quote(f'{path}.before')}`); "
            "`wmtp materialize` writes it anew.",
        )
    return project.lock.repo(repo)
