"""The one door: files of a repository, from any source, verified, under their names.

A file appears under its name only when its size and digest are what was expected; until then, and
whatever goes wrong, what stood there before still does. Layout below `into`, which is itself a
directory hub:

    models/<org>/<name>/<path>       verified files
    .partial/models/<org>/<name>/    what is still arriving (partial.py); emptied by finishing
    .quarantine/models/...           what arrived wrong, for a person to look at; the latest only
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from shlex import quote

from wmtp_assets.hub.aside import clear_folder, require_free
from wmtp_assets.hub.files import LOCK_NAME, UNPINNED, Fetched, RemoteFile, RepoId, WantedFile
from wmtp_assets.hub.lock import Lock
from wmtp_assets.hub.names import check_name, safe_target
from wmtp_assets.hub.partial import Partial, remove_empty
from wmtp_assets.hub.refusals import HubError, NoSuchFileError
from wmtp_assets.hub.retry import Retries, with_retries
from wmtp_assets.hub.source import Hub
from wmtp_assets.hub.transfer import Arrived, Job, Transfer, WrongBytesError
from wmtp_assets.progress import Progress, progress_for
from wmtp_assets.storage import disk
from wmtp_assets.storage.digests import sha256_file, watched
from wmtp_assets.storage.errors import storage_errors
from wmtp_assets.storage.preflight import require_space

PARTIAL, QUARANTINE = ".partial", ".quarantine"
"""Folders below `into` for what is still arriving and what arrived wrong."""

_TRIES = 2  # a mismatch is fetched once more: a line may flip a bit, an upstream does not


class PinnedElsewhereError(HubError):
    """Two of catalog, lock and source name different bytes for one file."""


class DigestMismatchError(HubError):
    """What arrived, twice, is not what was expected."""


def fetch(
    hub: Hub,
    repo: RepoId,
    revision: str,
    files: Sequence[WantedFile],
    into: Path,
    lock: Lock,
    log: Callable[[str], None] | None = None,
) -> list[Fetched]:
    """Bring `files` of `repo` at `revision` under `into`, and write them down in `lock`.

    `into` is the root of a directory hub (`storage/upstream`): a file lands at
    `into/<repo.folder>/<path>`. A file that is there already is read again and kept when it
    is right. Progress goes to `log`, at most one line per file in ten seconds; without one,
    to a bar on a terminal.

    Raises HubRefusalError (six kinds), GaveUpError (retries exhausted: run it again, it resumes),
    DigestMismatchError, PinnedElsewhereError, UnsafeNameError, StorageError.
    """
    targets = {
        wanted.path: safe_target(into, f"{repo.folder}/{check_name(wanted.path)}")
        for wanted in files
    }
    commit = hub.resolve(repo, revision)
    listed = {file.path: file for file in hub.files(repo, commit)}
    tasks = []
    for wanted in files:
        file = _expect(hub, repo, commit, wanted, listed, lock)
        size = file.size if file.size is not None else _announced(hub, repo, commit, file.path)
        tasks.append(_Task(repo, commit, file, size, targets[wanted.path]))
    require_space(into, sum(task.still_needed() for task in tasks), f"Fetching {repo}")
    progress = progress_for(log)
    done = []
    for task in tasks:
        with storage_errors(f"Fetching {task.file.path} of {repo}", task.target):
            fetched = _fetch_one(hub, task, into, progress)
            lock.record(repo, commit, fetched.path, fetched.size, fetched.sha256, progress.note)
        done.append(fetched)
    return done


@dataclass(frozen=True)
class _Task:
    """One file to be written to `target`; `file` is what source, catalog and lock agree on."""

    repo: RepoId
    commit: str
    file: RemoteFile
    size: int
    target: Path

    @property
    def digest(self) -> str | None:
        return self.file.sha256 or self.file.git_blob

    def wrong(self, sha256: str, git_blob: str) -> tuple[str, str] | None:
        """(expected, found) when digests are not the file's; None when right or unknown."""
        if self.file.sha256 is not None:
            pair = self.file.sha256, sha256
        elif self.file.git_blob is not None:
            pair = self.file.git_blob, git_blob
        else:
            return None
        return None if pair[0] == pair[1] else pair

    def still_needed(self) -> int:
        """Bytes of disk that this will take at most."""
        return 0 if self.is_there() else self.size

    def is_there(self) -> bool:
        """Whether a file of this size is under its name."""
        with suppress(FileNotFoundError):  # taken away in between, as `gc --raw` does
            return self.target.is_file() and self.target.stat().st_size == self.size
        return False


def _expect(
    hub: Hub,
    repo: RepoId,
    commit: str,
    wanted: WantedFile,
    listed: dict[str, RemoteFile],
    lock: Lock,
) -> RemoteFile:
    """What the file must be, once everybody who knows was asked and agrees."""
    remote = listed.get(wanted.path)
    if remote is None:
        near = get_close_matches(wanted.path, listed, n=3)
        raise NoSuchFileError(
            f"{repo} has no file {wanted.path} at this revision",
            found=f"{len(listed)} files" + (f", such as {', '.join(near)}" if near else ""),
            where=f"{hub.spec}, {repo.page} at {commit}",
            hint="correct the name in the catalog, or the revision.",
        )
    held = lock.known(repo)
    locked = held.files.get(wanted.path) if held and held.commit == commit != UNPINNED else None
    stated = {
        "the catalog": (wanted.size, wanted.sha256),
        LOCK_NAME: (locked.size, locked.sha256) if locked else (None, None),
        hub.spec: (remote.size, remote.sha256),
    }
    size, sha256 = (
        _agreed(
            f"{wanted.path} of {repo} at {commit}",
            what,
            {who: value[i] for who, value in stated.items()},
            lock.path,
        )
        for i, what in enumerate(("size", "SHA-256"))
    )
    return RemoteFile(
        wanted.path,
        None if size is None else int(size),
        str(sha256) if sha256 else None,
        remote.git_blob,
    )


def _announced(hub: Hub, repo: RepoId, commit: str, path: str) -> int:
    """The size that the file's own host announces, where no listing says it."""
    retries = Retries(hub.policy, logging.getLogger(__name__).warning)
    size = with_retries(lambda: hub.locate(repo, commit, path), retries).size
    if size is None:
        raise HubError(
            f"The size of {path} of {repo} is not known",
            expected="a size in the listing, the catalog or the answer's headers",
            where=f"{hub.spec}, {repo.page} at {commit}",
            hint="name the file's `size` and `sha256` in the catalog; if the repository is gated, "
            "ask for access at its page and set HF_TOKEN.",
        )
    return size


def _agreed(
    where: str, what: str, stated: dict[str, int | str | None], lock: Path
) -> int | str | None:
    """The one value that everybody names who names any."""
    known = {who: value for who, value in stated.items() if value is not None}
    first, *others = known.items() or [("", None)]
    for who, value in others:
        if value != first[1]:
            raise PinnedElsewhereError(
                f"{first[0]} and {who} do not mean the same file",
                expected=f"{what} {first[1]} ({first[0]})",
                found=f"{what} {value} ({who})",
                where=where,
                hint=_how_to_agree(known, lock),
            )
    return first[1]


def _how_to_agree(known: Mapping[str, int | str], lock: Path) -> str:
    """What a person does where `known`, by who says so, are not all the same."""
    others = [who for who in known if who != LOCK_NAME]
    if len({known[who] for who in others}) == 1:  # the lock stands alone
        return (
            f"nothing was fetched. Restore {LOCK_NAME} from a copy of yours; without one, to go by "
            f"{' and '.join(others)}, put it aside (`mv {quote(str(lock))} "
            f"{quote(f'{lock}.before')}`), then `wmtp materialize` verifies every file and writes "
            "it anew. Find out who changed it."
        )
    return (
        "nothing was fetched. If upstream replaced the file on purpose, pin the new one (`wmtp pin "
        "ORG/NAME COMMIT`); else find out who changed it."
    )


def _fetch_one(hub: Hub, task: _Task, into: Path, progress: Progress) -> Fetched:
    began = time.monotonic()
    stem = f"{task.repo.folder}/{stem_of(task.file.path)}"
    partial_stem = safe_target(into, f"{PARTIAL}/{stem}")
    quarantined = safe_target(into, f"{QUARANTINE}/{stem}")
    progress.begin(task.file.path, task.size)
    try:
        require_free(into, task.target, f"{task.file.path} of {task.repo}")
        for stem_of_state in (partial_stem, quarantined):
            folder = stem_of_state.parent.relative_to(into).as_posix()
            clear_folder(into, folder, progress.note)
        with Partial.claim(partial_stem, progress.note) as partial:
            sha256 = _standing(task, progress)
            if sha256 is not None:
                partial.discard()
                arrived = Arrived(sha256, "", 0, 0, 0)
            else:
                arrived = _transfer(hub, task, partial, quarantined, progress)
                partial.publish(task.target)
    finally:
        progress.end()
    if os.path.lexists(quarantined):
        disk.remove_tree(quarantined)
    remove_empty(quarantined.parent)
    return Fetched(
        task.file.path,
        task.size,
        arrived.sha256,
        time.monotonic() - began,
        arrived.resumed_from,
        arrived.retries,
        arrived.received,
    )


def _standing(task: _Task, progress: Progress) -> str | None:
    """The SHA-256 of the file under its name when it is already what it should be."""
    if not task.is_there():
        return None
    if task.digest is None:
        return None  # nobody knows what it should be: take it from the source again
    blob = _git_blob_id(task.target) if task.file.sha256 is None else ""
    progress.begin(f"{task.file.path}, which is there", task.size)
    read = 0

    def add(count: int) -> None:
        nonlocal read
        read += count
        progress.at(read)

    with watched(add):
        sha256 = sha256_file(task.target)
    progress.end()
    if not task.wrong(sha256, blob):
        return sha256
    progress.begin(task.file.path, task.size)
    return None


def _transfer(
    hub: Hub, task: _Task, partial: Partial, quarantined: Path, progress: Progress
) -> Arrived:
    """The whole file in `partial`, verified; a wrong one is quarantined and fetched again."""
    problem, where = "", f"{task.file.path} of {task.repo} at {task.commit}"
    expected: object = None
    found: object = None
    for again in range(_TRIES):
        if again:
            progress.note(f"{problem}; it is kept in {quarantined} and fetched once more")
        job = Job(task.repo, task.commit, task.file, task.size, task.digest)
        try:
            arrived = Transfer(hub, job, partial, progress.note, progress.at).run()
        except WrongBytesError as error:
            problem, expected, found = error.problem, error.expected, error.found
        else:
            wrong = task.wrong(arrived.sha256, arrived.git_blob)
            if wrong is None:
                return arrived
            problem = "What arrived does not have the expected digest"
            expected, found = wrong
        partial.quarantine(quarantined)
    raise DigestMismatchError(
        f"{problem}, {_TRIES} times",
        expected=expected,
        found=found,
        where=where,
        hint=f"what arrived last is kept at {quarantined}. See whether a proxy or a cache changes "
        "it; if the catalog's digest is out of date, correct it there.",
    )


def _git_blob_id(path: Path) -> str:
    """Git's name for a file's content: SHA-1 over a short header and the bytes."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as handle:
        while chunk := handle.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def stem_of(path: str) -> str:
    """A file name for what belongs to `path`: readable, unique, short enough for any suffix."""
    readable = path.rsplit("/", 1)[-1].encode()[:80].decode(errors="ignore")
    return f"{readable}-{hashlib.sha256(path.encode()).hexdigest()[:12]}"
