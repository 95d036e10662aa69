"""The files that the catalog wants from upstream: which they are, whether they changed, fetching.

Between the catalog's entries (paths and patterns at a revision) and `hub/` (bytes).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import cast

from wmtp_assets.catalog import Catalog, File
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.pin import Listed
from wmtp_assets.errors import TransientError, WmtpError
from wmtp_assets.hub.directory import DirectoryHub
from wmtp_assets.hub.fetch import fetch
from wmtp_assets.hub.files import (
    UNPINNED,
    Fetched,
    RemoteFile,
    RepoId,
    WantedFile,
    WantedRepo,
    is_commit,
    is_fixed,
)
from wmtp_assets.hub.lock import Lock, LockError
from wmtp_assets.hub.refusals import (
    BlockedError,
    ClientSetupError,
    NoSuchRepoError,
    NoSuchRevisionError,
    NoTokenError,
    TokenWithoutAccessError,
)
from wmtp_assets.hub.source import Hub
from wmtp_assets.storage.digests import digest_of

# Errors after which it is still open whether upstream has a commit.
_CANNOT_SAY = (
    TransientError,
    NoTokenError,
    TokenWithoutAccessError,
    BlockedError,
    LockError,
    ClientSetupError,
)


class SelectionError(WmtpError):
    """Upstream does not have the files that the catalog takes."""


@dataclass(frozen=True)
class UpstreamFiles:
    """The files that the catalog wants of one repository: its commit or branch, and paths and
    patterns in it."""

    repo: RepoId
    revision: str
    files: tuple[File, ...]

    @classmethod
    def of(cls, artifact: Artifact) -> UpstreamFiles:
        """The files of a raw artifact, by its settings in the catalog."""
        settings = artifact.settings
        is_model = artifact.name.startswith("models/")
        return cls(
            RepoId("model" if is_model else "dataset", str(settings["repository"])),
            str(settings["revision"]),
            tuple(map(File.model_validate, cast("list[object]", settings["files"]))),
        )


def select(
    hub: Hub, repo: RepoId, files: Sequence[File], listing: Sequence[RemoteFile]
) -> list[WantedFile]:
    """The files of `listing`, which `hub` has of `repo`, that the catalog takes, in its order.

    Raises SelectionError when a path is not there, or a pattern finds another number of files.
    """
    known = {file.path for file in listing}
    wanted: list[WantedFile] = []
    for file in files:
        if "*" not in file.path:
            found = [file.path] if file.path in known else []
        else:
            found = sorted(path for path in known if fnmatchcase(path, file.path))
        if len(found) != file.count:
            raise SelectionError(
                f"{repo} has other files than the catalog takes",
                expected=f"{file.count} matching {file.path}" if "*" in file.path else file.path,
                found=f"{len(found)} matching" if found else "no such file",
                where=f"{repo} in {hub.spec}" if isinstance(hub, DirectoryHub) else repo,
                hint="correct the path in the catalog, or the revision it is pinned to"
                + (f"; or {hub.completion}" if isinstance(hub, DirectoryHub) else "."),
            )
        wanted += [WantedFile(path, file.sha256, file.size) for path in found]
    return wanted


def commit_page(catalog: Catalog, repo: RepoId, revision: str) -> str:
    """The Hub's page of a commit; empty for the sample, which has none, and for a branch or tag."""
    real = not catalog.is_sample and is_commit(revision)
    return f"https://huggingface.co/{repo.page}/tree/{revision}" if real else ""


def how_to_pin(one: UpstreamFiles) -> str:
    """What a person does about a branch or tag where only commits are wanted."""
    return (
        f"in a catalog of your own, `wmtp pin {one.repo.name} {one.revision}` writes down the "
        f"commit that {one.revision} is now; name a commit that you trust instead to take that."
    )


def unpinned(catalog: Catalog, wanted: Iterable[UpstreamFiles]) -> list[UpstreamFiles]:
    """Those that name a branch or tag where the catalog wants commits. (A version of the sample
    names the same files for ever, as a commit does.)"""
    fixed = is_fixed if catalog.is_sample else is_commit
    return [one for one in wanted if catalog.commits_only and not fixed(one.revision)]


def require_pins(catalog: Catalog, wanted: Iterable[UpstreamFiles]) -> None:
    """Raises SelectionError where the catalog wants commits and names a branch or tag."""
    for one in unpinned(catalog, wanted):
        raise SelectionError(
            f"{one.repo} is not pinned to a commit",
            expected="40 hex digits",
            found=one.revision,
            where=f"the catalog {catalog.name!r}",
            hint=how_to_pin(one),
        )


def upstream_files_of(artifacts: Iterable[Artifact]) -> list[UpstreamFiles]:
    """The files of each repository, all artifacts together, each file once."""
    files: dict[RepoId, dict[str, File]] = {}
    revisions: dict[RepoId, str] = {}
    for artifact in artifacts:
        if artifact.is_fetched:
            wanted = UpstreamFiles.of(artifact)
            revisions[wanted.repo] = wanted.revision
            files.setdefault(wanted.repo, {}).update((file.path, file) for file in wanted.files)
    return [UpstreamFiles(repo, revisions[repo], tuple(files[repo].values())) for repo in files]


def listing_at(
    hub: Hub, repo: RepoId, revision: str
) -> tuple[str, dict[str, Listed], WmtpError | None]:
    """The commit that `revision` names now, its files by path, and why there are none.

    A commit is a commit even where the source cannot be asked, does not know the reader, or is a
    mirror without it; a branch or tag then raises what asking raised. A Hub that answers, and knows
    no such commit or serves another one, is believed in either case.
    """
    try:
        commit = hub.resolve(repo, revision)
        if not is_commit(commit):
            raise SelectionError(
                f"This source does not know the commits of {repo}",
                expected="a mirror with an assets.lock, or the Hub",
                where=hub.spec,
                hint="name the commit itself (40 hex digits).",
            )
        files = hub.files(repo, commit)
    except (SelectionError, *_CANNOT_SAY) as error:
        if not is_commit(revision):
            raise
        return revision, {}, error
    except (NoSuchRepoError, NoSuchRevisionError) as error:
        if not is_commit(revision) or not isinstance(hub, DirectoryHub):
            raise
        return revision, {}, error
    listed = {file.path: Listed(file.size, file.sha256, file.hidden) for file in files}
    return commit, listed, None


def wanted_of(hub: Hub, wanted: UpstreamFiles) -> WantedRepo:
    """The files of one repository by name, at the commit that its revision names now."""
    commit = hub.resolve(wanted.repo, wanted.revision)
    selected = select(hub, wanted.repo, wanted.files, hub.files(wanted.repo, commit))
    return WantedRepo(wanted.repo, commit, tuple(selected))


def commit_of(hub: Hub, wanted: UpstreamFiles, lock: Lock) -> str:
    """The commit that is fetched.

    A branch or tag is resolved once; from then on it is the commit that assets.lock recorded, so
    that two runs of one storage take the same bytes. `wmtp pin` moves it.
    """
    if not isinstance(hub, DirectoryHub):
        if is_commit(wanted.revision):
            return wanted.revision
        recorded = lock.known(wanted.repo)
        if recorded is not None and is_commit(recorded.commit):
            return recorded.commit
    return hub.resolve(wanted.repo, wanted.revision)


def identity(hub: Hub, wanted: UpstreamFiles, lock: Lock) -> str:
    """What stands for the bytes that would be fetched now: changes when they may have changed.

    A commit stands for itself, and the Hub is not asked. For a directory without an assets.lock
    it is the digest of the files' sizes and times of modification.
    """
    commit = commit_of(hub, wanted, lock)
    if commit != UNPINNED:
        return commit
    listing = hub.files(wanted.repo, wanted.revision)
    selected = select(hub, wanted.repo, wanted.files, listing)
    return digest_of(
        {file.path: hub.locate(wanted.repo, commit, file.path).etag for file in selected}
    )


def fetch_upstream(
    hub: Hub, wanted: UpstreamFiles, upstream: Path, lock: Lock, log: Callable[[str], None]
) -> tuple[str, list[Fetched]]:
    """Fetches the files to `upstream`/<folder of the repository>/<path>: the commit, the files.

    Files that stand there verified are not fetched again.
    """
    commit = commit_of(hub, wanted, lock)
    selected = select(hub, wanted.repo, wanted.files, hub.files(wanted.repo, commit))
    return commit, fetch(hub, wanted.repo, commit, selected, upstream, lock, log)


def listing_of(files: Sequence[Fetched]) -> Mapping[str, object]:
    """The document that stands for fetched files: size and SHA-256 of each, by path."""
    ordered = sorted(files, key=lambda file: file.path)
    return listing_from({file.path: (file.size, file.sha256) for file in ordered})


def listing_from(files: Mapping[str, tuple[object, object]]) -> Mapping[str, object]:
    """As `listing_of`, of size and SHA-256 by path."""
    return {"files": {path: {"size": size, "sha256": sha} for path, (size, sha) in files.items()}}
