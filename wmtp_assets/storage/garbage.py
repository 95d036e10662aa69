"""What may be removed: leftovers of killed processes, and versions beyond the kept number.

Never removed: what is current or published, what a kept publication links to, what a lock or a
reader holds, and older versions of an artifact whose current one is not whole (one of them may be
the last good copy).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from wmtp_assets.storage import aside, atomic, bounds, disk, locks, walks
from wmtp_assets.storage.errors import StorageError, storage_errors
from wmtp_assets.storage.preflight import PARTS
from wmtp_assets.storage.publications import Publication
from wmtp_assets.storage.publishing import Published
from wmtp_assets.storage.receipts import Receipt
from wmtp_assets.storage.versions import CURRENT, current_version, leftovers, version_folders

_Made = TypeVar("_Made", Receipt, Publication)


@dataclass(frozen=True)
class Removal:
    """Something that was removed (or would be): its path, its bytes, and why."""

    path: Path
    size: int
    reason: str


@dataclass
class Collection:
    """What `gc` did. `held` names the sets and artifacts that it left alone, with the reason;
    `set_aside` is what was in the way once: its owner's to keep or delete, with its bytes."""

    removed: list[Removal] = field(default_factory=list)
    held: dict[str, str] = field(default_factory=dict)
    set_aside: dict[Path, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes given back to the disk."""
        return sum(removal.size for removal in self.removed)


@dataclass(frozen=True)
class Guarded:
    """Files that may go while nobody holds or shares any of some locks, which are given with what
    it means that somebody does. `files` is asked for them under those locks; `name` is of what they
    belong to."""

    name: str
    locks: Mapping[Path, str]
    files: Callable[[], Iterable[Path]]


def collect(
    published: Published,
    *,
    keep: int,
    dry_run: bool,
    also: Iterable[Path] = (),
    guarded: Iterable[Guarded] = (),
) -> Collection:
    """Removes leftovers, and all but the last `keep` publications and versions (at least 1).

    `also` are files below the root that the caller knows to be unneeded (orphaned partial
    downloads), each removed before the next is asked for, `guarded` those that are unless somebody
    is at work on them. With `dry_run` nothing is removed. Raises `StorageError` when the disk
    refuses or one of these paths is outside the storage.
    """
    if keep < 1:
        raise StorageError(
            "gc keeps at least the current version", expected="1 or more", found=keep
        )
    for folder in (published.folder, published.versions.folder, published.lock.parent):
        bounds.require_inside(published.root, folder / "anything")
    with (
        storage_errors("Removing what is not needed", published.root),
        locks.exclusive(published.lock) as lock,
    ):
        sweep = _Sweep(published, keep, dry_run, lock)
        for path in also:
            bounds.require_inside(published.root, path)
            if path.is_file():
                sweep.remove(path, "not needed any more")
        for files in guarded:
            sweep.guarded(files)
        for name in _homes(published.folder):
            sweep.publications(name)
        for artifact in _homes(published.versions.folder):
            sweep.versions(artifact)
        for path in sorted(_temporaries(published.root)):
            with atomic.claimed(path) as orphan:
                if orphan:
                    sweep.remove(path, "left by a killed process")
        for path in locks.abandoned(published.lock.parent):
            sweep.remove(path, "left by a killed process")
        sweep.done.set_aside = {
            path: walks.size_of(path) for path in aside.contents(published.root)
        }
    return sweep.done


class _Sweep:
    """One run of `collect`, under the lock that keeps publications as they are."""

    def __init__(self, published: Published, keep: int, dry_run: bool, lock: locks.Held) -> None:
        self.done = Collection()
        self._published = published
        self._keep = keep
        self._dry_run = dry_run
        self._referenced: set[Path] = set()
        self._blind = False
        self._claims = [lock]

    def guarded(self, files: Guarded) -> None:
        """Files that nobody is at work on."""
        with ExitStack() as held:
            claims = []
            for lock, meaning in files.locks.items():
                claim = held.enter_context(locks.exclusive_now(lock))
                if claim is None:
                    self.done.held[files.name] = meaning
                    return
                claims.append(claim)
            self._claims[1:] = claims
            for path in files.files():
                bounds.require_inside(self._published.root, path)
                if path.is_file():
                    self.remove(path, "not needed any more")
        self._claims[1:] = []

    def publications(self, name: str) -> None:
        """Leftovers and old publications of one set; notes which versions it still needs."""
        published, home = self._published, self._published.home(name)
        for leftover in leftovers(home):
            self.remove(leftover, "left by a killed process")
        history, current = published.history(name), current_version(home)
        if current is not None and current not in {made.version for made in history}:
            # What it links to is not known for sure, so no artifact's version is safe to remove.
            self._blind = True
            self.done.held[name] = "its record is damaged: publish it again first"
            return
        with locks.exclusive_now(published.readers(name)) as unread:
            if unread:
                self._claims[1:] = [unread]
                history = _kept(history, current, self._keep)
            else:
                self.done.held[name] = "a process is reading it"
            for made in history:
                for artifact, member in made.members.items():
                    self._referenced.add(published.versions.home(artifact) / member.version)
            if unread:
                wanted = {made.version for made in history}
                for farm in version_folders(home):
                    if farm.name not in wanted:
                        self.remove(farm, "an older publication")

    def versions(self, artifact: str) -> None:
        """Leftovers and old versions of one artifact."""
        versions = self._published.versions
        home = versions.home(artifact)
        with (
            locks.exclusive_now(versions.lock(artifact)) as free,
            locks.exclusive_now(versions.readers(artifact)) as unread,
        ):
            if not free:
                self.done.held[artifact] = f"being made by {locks.holder(versions.lock(artifact))}"
                return
            self._claims[1:] = [free, unread] if unread else [free]
            for leftover in leftovers(home):
                self.remove(leftover, "left by a killed process")
            current = current_version(home)
            if not unread:
                self.done.held[artifact] = "a process is reading it"
            elif current is None or versions.mismatches(artifact, deep=False):
                self.done.held[artifact] = "its current version is not whole"
            elif not self._blind:
                history = _kept(versions.history(artifact), current, self._keep)
                wanted = {made.version for made in history}
                for version in version_folders(home):
                    if version.name not in wanted and version not in self._referenced:
                        self.remove(version, "an older version")

    def remove(self, path: Path, reason: str) -> None:
        """Removes a file, a link, or a whole folder, and notes it.

        What another process has taken away meanwhile is not noted. Raises StorageError where one
        has taken over a lock: what is needed was found out under it.
        """
        if walks.status(path) is None:
            return
        size = walks.size_of(path)
        if not self._dry_run:
            for claim in self._claims:
                claim.require()
            if path.is_dir() and not path.is_symlink() and not path.name.startswith(disk.LEFTOVERS):
                disk.discard(path)
            else:
                disk.remove_tree(path)
        self.done.removed.append(Removal(path, size, reason))


def _kept(made: Sequence[_Made], current: str | None, keep: int) -> list[_Made]:
    """The current one and the last `keep - 1` others; `made` has the last first."""
    others = [one for one in made if one.version != current]
    return [one for one in made if one.version == current] + others[: keep - 1]


def _homes(folder: Path) -> Iterator[str]:
    """The names of all artifacts or sets below `folder`. Raises `OSError` for a folder that may not
    be looked into: a publication in it could need any version."""
    for path, folders, others in walks.walk(folder):
        names = [*folders, *others]
        if any(
            name == CURRENT or bounds.VERSION.fullmatch(name) or name.startswith(disk.LEFTOVERS)
            for name in names
        ):
            yield path.relative_to(folder).as_posix()
        folders[:] = sorted(name for name in folders if bounds.usable_name(name))


def _temporaries(root: Path) -> Iterator[Path]:
    """Temporary files of single documents: in the root, beside what was fetched, and of parts.

    The root may be a folder that others use too: what they named `.tmp-` in another way stays.
    """
    found = walks.entries(root)
    for folder in ("upstream", ".locks", PARTS):
        found += walks.files_below(root / folder, denied=True)
    yield from (path for path in found if disk.is_temporary(path.name))
