"""Writes an export, or completes one: what is there already is read and compared, not copied.

The order makes every interruption visible and harmless: the record names what is to come (and the
volume's SHA256SUMS goes, where it will not be true) before the first file; a file gets its name
when its bytes are right; SHA256SUMS and the record that calls the sets whole come last.
"""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from wmtp_assets.export import target as targets
from wmtp_assets.export.files import Method, can_clone, link_to, linked, place
from wmtp_assets.export.record import (
    OWN,
    SUMS,
    ExportedSet,
    ExportError,
    Record,
    stated_sums,
)
from wmtp_assets.progress import following
from wmtp_assets.storage import disk, locks
from wmtp_assets.storage.digests import (
    cores,
    sha256_file,
    watched,
    write_sha256sums,
)
from wmtp_assets.storage.errors import StorageError, storage_errors
from wmtp_assets.storage.preflight import require_space
from wmtp_assets.storage.receipts import FileRecord, Mismatch


class Item(NamedTuple):
    """One file of a published set: its path under the contract, where its bytes are, what they
    are, and which artifact they are of."""

    set: str
    path: str
    source: Path
    record: FileRecord
    artifact: str

    @property
    def volume(self) -> str:
        """The first folder of its path."""
        return PurePosixPath(self.path).parts[0]

    @property
    def within(self) -> str:
        """Its path in the volume."""
        return str(PurePosixPath(self.path).relative_to(self.volume))


@dataclass
class Exported:
    """What an export did: `made` counts files by method, `kept` those that were there already,
    `names` further names of files in the export itself; `bytes` is what was copied, `size` all of
    it. `wrong` are files of the storage that are not what their receipts say."""

    folder: Path
    volumes: tuple[str, ...]
    sets: Mapping[str, str]
    made: Counter[Method] = field(default_factory=Counter)
    names: int = 0
    kept: int = 0
    removed: int = 0
    bytes: int = 0
    size: int = 0
    wrong: dict[str, Mismatch] = field(default_factory=dict)


def write_export(
    items: Sequence[Item],
    versions: Mapping[str, str],
    folder: Path,
    *,
    storage: Path,
    link: bool = False,
    about: Mapping[str, Any] | None = None,
) -> Exported:
    """Writes the files `items` of the published sets `versions` (by name) below `folder`.

    `folder` is made, or completed where it is an export already; other sets that it holds stay as
    they are. The caller keeps the items' sources where they are until this returns. With `link`
    files become further names of the storage's own where that is possible. A file that is not what
    its receipt says is reported in `wrong`, and its set stays marked as not whole.

    Raises ExportError where `folder` is something else, or another process exports to it, and
    StorageError where the disk is full or refuses.
    """
    folder = folder.resolve()
    wanted = sorted({item.volume for item in items})
    targets.require_target(folder, storage, wanted)
    with storage_errors("Exporting", folder):
        disk.make_folders(folder)
    with (
        storage_errors("Exporting", folder),
        locks.exclusive_now(folder / targets.LOCK) as claim,
    ):
        if claim is None:
            raise ExportError(
                "Another process is exporting to this folder",
                found=locks.holder(folder / targets.LOCK),
                where=folder,
                hint="wait for it, or name another folder.",
            )
        targets.require_target(folder, storage, wanted)
        volumes = [_Volume.opened(folder, name, items, versions) for name in wanted]
        return _Export(folder, volumes, items, versions, link, about or {}, claim).run()


@dataclass
class _Volume:
    """A volume on its way: its record as it was found, and the sets that it is to hold."""

    name: str
    folder: Path
    found: Record | None
    sets: dict[str, ExportedSet]
    announced: bool = False

    @classmethod
    def opened(
        cls, root: Path, name: str, items: Sequence[Item], versions: Mapping[str, str]
    ) -> _Volume:
        folder = root / name
        disk.make_folders(folder)
        files: dict[str, dict[str, FileRecord]] = defaultdict(dict)
        for item in items:
            if item.volume == name:
                files[item.set][item.within] = item.record
        sets = {one: ExportedSet(versions[one], True, files[one]) for one in files}
        volume = cls(name, folder, Record.read(folder), sets)
        targets.require_no_strangers(folder, volume.known | OWN)
        targets.require_disjoint(folder, volume.all_sets())
        return volume

    @property
    def known(self) -> set[str]:
        """Every path that is, was or will be of the export."""
        before = self.found.known if self.found else set()
        return before | {path for one in self.sets.values() for path in one.files}

    def all_sets(self) -> dict[str, ExportedSet]:
        """The sets of this export, and those that were here before."""
        return {**(self.found.sets if self.found else {}), **self.sets}

    def leaving(self) -> list[str]:
        """Files of earlier editions that no set has any more."""
        kept = {path for one in self.all_sets().values() for path in one.files}
        return sorted(self.known - kept)


@dataclass
class _Export:
    """One call of `write_export`, under the lock of its folder."""

    folder: Path
    volumes: list[_Volume]
    items: Sequence[Item]
    versions: Mapping[str, str]
    link: bool
    about: Mapping[str, Any]
    claim: locks.Held

    def run(self) -> Exported:
        """Does all of it, in the order that the module states."""
        done = Exported(self.folder, tuple(one.name for one in self.volumes), dict(self.versions))
        done.size = sum(item.record.size for item in self.items)
        groups = list(_groups(self.items).values())
        for folder in (self.folder, *(volume.folder for volume in self.volumes)):
            _remove_leftovers(folder)
        self._require_space(groups)
        total = sum(group[0].record.size for group in groups)
        with following("exporting", total, None) as at, _counted(at) as read:
            present = self._compared(groups, read)
            changed = {
                item.set for item in self.items if item.path not in present
            } | self._sets_renewed()
            for volume in self.volumes:
                self._announce(volume, changed)
            missing = [group for group in groups if any(i.path not in present for i in group)]
            with ThreadPoolExecutor(cores()) as pool:
                for one in pool.map(lambda group: self._write(group, present, read), missing):
                    _add(done, one)
        done.kept = len(present)
        for volume in self.volumes:
            done.removed += self._finish(volume, {self._set_of(path) for path in done.wrong})
        return done

    def _set_of(self, path: str) -> str:
        return next(item.set for item in self.items if item.path == path)

    def _sets_renewed(self) -> set[str]:
        """Sets that the records do not call whole in this very edition."""
        return {
            name
            for volume in self.volumes
            for name, one in volume.sets.items()
            if volume.found is None or volume.found.sets.get(name) != one
        }

    def _require_space(self, groups: Sequence[Sequence[Item]]) -> None:
        """Raises StorageError unless there is room on each file system for what is copied to it."""
        needed: Counter[int] = Counter()
        places: dict[int, Path] = {}
        clones: dict[int, bool] = {}
        for group in groups:
            if any(self._may_be_there(item) for item in group):
                continue
            folder = self.folder / group[0].volume
            device = folder.stat().st_dev
            places[device] = folder
            if device not in clones:
                clones[device] = can_clone(group[0].source, folder) or (
                    self.link and _can_link(group[0].source, folder)
                )
            if not clones[device]:
                needed[device] += group[0].record.size
        for device, size in needed.items():
            require_space(places[device], size, "An export")

    def _may_be_there(self, item: Item) -> bool:
        """Whether a file of this size is there; unless asked to link, none of the storage's own."""
        target = self.folder / item.path
        if _size(target) != item.record.size:
            return False
        return self.link or not target.samefile(item.source)

    def _compared(self, groups: Sequence[Sequence[Item]], read: Callable[[int], None]) -> set[str]:
        """The paths at which the wanted bytes are already. Each file is read once, whatever the
        number of its names."""

        def there(group: Sequence[Item]) -> list[str]:
            digests: dict[tuple[int, int], str] = {}
            found = []
            for item in group:
                target = self.folder / item.path
                if not self._may_be_there(item):
                    continue
                status = target.lstat()
                file = status.st_dev, status.st_ino
                if file not in digests:
                    with watched(read if not digests else _ignored):
                        digests[file] = sha256_file(target)
                if digests[file] == item.record.sha256:
                    found.append(item.path)
            return found

        with ThreadPoolExecutor(cores()) as pool:
            return {path for found in pool.map(there, groups) for path in found}

    def _announce(self, volume: _Volume, changed: Collection[str]) -> None:
        """Records what is to come, where anything is to change."""
        known = {
            name: replace(one, whole=one.whole and name not in changed)
            for name, one in volume.all_sets().items()
        }
        leaving = tuple(volume.leaving())
        coming = self._record(volume, known, leaving)
        if coming == volume.found:
            return
        volume.announced = True
        with suppress(FileNotFoundError):
            disk.unlink(volume.folder / SUMS)
            disk.sync(volume.folder)
        coming.write(volume.folder)

    def _record(
        self, volume: _Volume, sets: Mapping[str, ExportedSet], leaving: tuple[str, ...]
    ) -> Record:
        before = volume.found.volumes if volume.found else ()
        names = tuple(sorted({*before, *(one.name for one in self.volumes)}))
        return Record(volume.name, names, sets, leaving, self.about)

    def _write(
        self, group: Sequence[Item], present: Collection[str], read: Callable[[int], None]
    ) -> Exported:
        """Writes the files of one source that are not there yet; the first is read, the others
        become further names of it where they can."""
        done = Exported(self.folder, (), {})
        first = next((self.folder / item.path for item in group if item.path in present), None)
        for item in group:
            if item.path in present:
                continue
            target, scratch = self.folder / item.path, self.folder / item.volume
            disk.make_folders(target.parent)
            if first is not None and link_to(first, target, scratch):
                done.names += 1
                continue
            source, sha256 = item.source, item.record.sha256
            how = place(
                source,
                target,
                scratch,
                sha256,
                link=self.link,
                read=_ignored if first else read,
                require=self.claim.require,
            )
            if not isinstance(how, Method):
                wrong = Mismatch(
                    source,
                    f"SHA-256 {sha256}",
                    f"SHA-256 {how}",
                    f"`wmtp materialize {item.artifact} --force`",
                )
                done.wrong |= {one.path: wrong for one in group if one.path not in present}
                break
            done.made[how] += 1
            done.bytes += item.record.size if how is Method.COPY else 0
            first = target
        return done

    def _finish(self, volume: _Volume, wrong: Collection[str]) -> int:
        """Removes what earlier editions left, and states what is there; how much was removed."""
        self.claim.require()
        removed = 0
        for path in volume.leaving():
            with suppress(FileNotFoundError):
                disk.unlink(volume.folder / path)
                removed += 1
            _remove_empty(volume.folder, PurePosixPath(path).parent)
        for here, _, _ in os.walk(volume.folder, topdown=False):
            disk.sync(Path(here))
        known = {
            name: replace(one, whole=one.whole and name not in wrong)
            for name, one in volume.all_sets().items()
        }
        record = self._record(volume, known, ())
        self.claim.require()
        sums = {path: file.sha256 for path, file in record.files.items()}
        if _sums(volume.folder) != sums:
            write_sha256sums(volume.folder / SUMS, sums)
        if record != volume.found or volume.announced:
            record.write(volume.folder)
        return removed


def _groups(items: Sequence[Item]) -> dict[Path, list[Item]]:
    """The items by their source, the largest first."""
    groups: dict[Path, list[Item]] = defaultdict(list)
    for item in sorted(items, key=lambda item: (-item.record.size, item.path)):
        groups[item.source].append(item)
    return groups


def _add(done: Exported, more: Exported) -> None:
    done.made += more.made
    done.names += more.names
    done.bytes += more.bytes
    done.wrong |= more.wrong


@contextmanager
def _counted(at: Callable[[int], None]) -> Iterator[Callable[[int], None]]:
    """A function that several threads call with how much more is done."""
    guard = threading.Lock()
    count = 0

    def read(more: int) -> None:
        nonlocal count
        with guard:
            count += more
            at(count)

    yield read


def _ignored(read: int) -> None:
    """Of what is counted already."""


def _size(path: Path) -> int | None:
    """Bytes of a regular file; None for anything else, and for nothing."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_size if path.is_file() and not path.is_symlink() else None


def _can_link(source: Path, folder: Path) -> bool:
    probe = disk.fresh(folder, disk.TEMPORARY)
    if not linked(source, probe):
        return False
    disk.unlink(probe)
    return True


def _sums(volume: Path) -> dict[str, str] | None:
    """What a volume's SHA256SUMS states; None where it is not there or cannot be read."""
    try:
        return stated_sums(volume)
    except StorageError:
        return None


def _remove_leftovers(folder: Path) -> None:
    for name in disk.listing(folder):
        if disk.is_temporary(name):
            disk.remove_tree(folder / name)


def _remove_empty(volume: Path, folder: PurePosixPath) -> None:
    """Removes a folder, and those above it in the volume, as long as they are empty."""
    while str(folder) != ".":
        try:
            disk.rmdir(volume / folder)
        except OSError:
            return
        folder = folder.parent
