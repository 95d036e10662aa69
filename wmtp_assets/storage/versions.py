"""Artifacts and their versions: staged under a lock, committed as a whole, never changed.

versions/<artifact>/<version>/...     the files, and receipt.json
versions/<artifact>/current           a link to <version>
versions/<artifact>/.staging-<id>/    what is being made, by the holder of the lock
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Any

from wmtp_assets.storage import aside, bounds, disk, locks, receipts
from wmtp_assets.storage.atomic import write_bytes
from wmtp_assets.storage.digests import sha256_files
from wmtp_assets.storage.errors import DENIED, StorageError, refused, storage_errors
from wmtp_assets.storage.receipts import FileRecord, Mismatch, Receipt

CURRENT = "current"
_TRIES = 5  # looks at an artifact of which versions become current meanwhile


class Versions:
    """All versions of all artifacts below one root. Reading takes no lock and writes nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "versions"

    def home(self, artifact: str) -> Path:
        """The folder of an artifact's versions."""
        return self.folder / bounds.checked_name(artifact)

    def lock(self, artifact: str) -> Path:
        """The lock for making, moving or removing versions of this artifact."""
        return self.root / ".locks" / "artifacts" / f"{bounds.checked_name(artifact)}.lock"

    def readers(self, artifact: str) -> Path:
        """The lock that readers share, and that `gc` wants for itself."""
        return self.lock(artifact).with_suffix(".readers")

    def require_inside(self, artifact: str) -> None:
        """Raises `StorageError` if writing this artifact or its lock would leave the storage."""
        bounds.require_inside(self.root, self.home(artifact) / CURRENT)
        bounds.require_inside(self.root, self.lock(artifact))

    # Reading.

    def current(self, artifact: str) -> Receipt | None:
        """The receipt of the current version; None when there is none.

        Raises `StorageError` when what is there is damaged.
        """
        version = current_version(self.home(artifact))
        return None if version is None else self.receipt(artifact, version)

    def receipt(self, artifact: str, version: str) -> Receipt:
        """The receipt of one version. Raises `StorageError` when it is damaged or absent."""
        path = self.home(artifact) / version / receipts.NAME
        receipt = Receipt.read(path)
        if receipt.artifact != artifact:
            raise StorageError(
                "A receipt is in the folder of another artifact",
                expected=artifact,
                found=receipt.artifact,
                where=path,
            )
        return receipt

    def path(self, artifact: str) -> Path:
        """The folder of the current version. Raises `StorageError` when there is none."""
        version = current_version(self.home(artifact))
        if version is None:
            raise StorageError(
                "This artifact has not been made yet",
                where=self.home(artifact),
                hint=f"`wmtp materialize {artifact}`",
            )
        return self.home(artifact) / version

    def history(self, artifact: str) -> list[Receipt]:
        """The receipts of all versions, the last made first; damaged ones are left out."""
        found = []
        for version in version_folders(self.home(artifact)):
            with suppress(StorageError):
                found.append(self.receipt(artifact, version.name))
        return sorted(found, key=lambda receipt: receipt.sequence, reverse=True)

    def reusable(
        self, artifact: str, *, inputs: Mapping[str, str], code_version: str, entry_digest: str
    ) -> Receipt | None:
        """The current receipt, if making the artifact from these would only make it again, and
        its files are there with the recorded sizes; None otherwise."""
        try:
            receipt = self.current(artifact)
        except StorageError:
            return None
        if receipt is None or self.mismatches(artifact, deep=False):
            return None
        same = receipt.made_from(
            inputs=inputs, code_version=code_version, entry_digest=entry_digest
        )
        return receipt if same else None

    def mismatches(
        self,
        artifact: str,
        *,
        deep: bool,
        version: str | None = None,
        known: Mapping[str, str] | None = None,
    ) -> list[Mismatch]:
        """What is not as the receipt says, in the current version or in `version`.

        Missing files, other sizes, files the receipt does not know, things that are not plain
        files; with `deep` also other bytes (reads everything). `known` is the SHA-256, by path, of
        files that the caller has just read itself. An artifact that was never made has no
        mismatches. Where another version has become current meanwhile (and `gc` may have removed
        this one), that one is looked at.
        """
        if version is not None:
            return self._mismatches(artifact, version, deep, known or {})
        folder = self.home(artifact)
        found: list[Mismatch] = []
        before: str | None = None
        for _ in range(_TRIES):
            try:
                version = current_version(folder)
            except StorageError as error:
                return [_unusable(error, folder)]
            if version is None:
                return []
            if version == before:
                break
            before = version
            found = self._mismatches(artifact, version, deep, known or {})
            if not found:
                break
        return found

    def _mismatches(
        self, artifact: str, version: str, deep: bool, known: Mapping[str, str]
    ) -> list[Mismatch]:
        folder = self.home(artifact)
        try:
            receipt = self.receipt(artifact, version)
        except StorageError as error:
            return [_unusable(error, folder)]
        return _compare(folder / version, receipt, deep=deep, known=known)

    @contextmanager
    def reading(self, artifact: str) -> Iterator[Path]:
        """The folder of the current version, which `gc` leaves alone for as long as the block
        runs. Raises `StorageError` when there is none."""
        with locks.shared(self.readers(artifact)):
            yield self.path(artifact)

    # Making.

    @contextmanager
    def stage(
        self, artifact: str, on_wait: Callable[[str], None] | None = None
    ) -> Iterator[Staging]:
        """A folder to make a version of `artifact` in, under the artifact's lock.

        Another process that has the lock is waited for (`on_wait` is called with its holder); ask
        `Staging.reuse` first, for it may have done the work. What a killed holder left is removed.
        When the block ends without `commit`, what it wrote is removed too.
        """
        home = self.home(artifact)
        self.require_inside(artifact)
        doing = f"Making {artifact}"
        with ExitStack() as held:
            with storage_errors(doing, home):
                lock = held.enter_context(locks.exclusive(self.lock(artifact), on_wait))
                disk.make_folders(home)
                for leftover in leftovers(home):
                    disk.remove_tree(leftover)
                staging = Staging(self, artifact, disk.fresh(home, disk.STAGING), lock)
                disk.mkdir(staging.path)
            try:
                with storage_errors(doing, home, disk_only=True):
                    yield staging
            finally:
                if os.path.lexists(staging.path):
                    with suppress(OSError):
                        disk.remove_tree(staging.path)

    def point_current(self, artifact: str, version: str) -> None:
        """Makes `version` the current one. The caller holds the artifact's lock."""
        home = self.home(artifact)
        if current_version(home) != version:
            disk.point(home / CURRENT, version, scratch=home)


class Staging:
    """One version in the making. `path` is the folder to write into."""

    def __init__(self, versions: Versions, artifact: str, path: Path, lock: locks.Held) -> None:
        self.path = path
        self._lock = lock
        self._versions = versions
        self._artifact = artifact

    def reuse(
        self,
        *,
        inputs: Mapping[str, str],
        code_version: str,
        entry_digest: str,
        fit: Callable[[Receipt], bool] = lambda _: True,
    ) -> Receipt | None:
        """A version that is here already, was made from the same and is `fit`; it becomes the
        current one.

        It may be what another process made while this one waited, or an older version.
        """
        versions, artifact = self._versions, self._artifact
        for receipt in versions.history(artifact):
            same = fit(receipt) and receipt.made_from(
                inputs=inputs, code_version=code_version, entry_digest=entry_digest
            )
            if same and not versions.mismatches(artifact, deep=False, version=receipt.version):
                with storage_errors(f"Making {artifact} current", versions.home(artifact)):
                    self._lock.require()
                    versions.point_current(artifact, receipt.version)
                return receipt
        return None

    def commit(
        self,
        *,
        inputs: Mapping[str, str],
        code_version: str,
        entry_digest: str,
        seconds: float,
        facts: Mapping[str, Any] | None = None,
        digests: Mapping[str, str] | None = None,
    ) -> Receipt:
        """Makes what was written the artifact's current version, and returns its receipt.

        `digests` holds SHA-256 that are known already, by path within the folder: those files are
        not read again. All files and folders are on the device before the version gets its name,
        and it has its name before `current` moves. A version with the same bytes is kept; its
        files are replaced by these, so that a damaged version is repaired, and its
        receipt with them.
        """
        versions, artifact = self._versions, self._artifact
        home = versions.home(artifact)
        with storage_errors(f"Committing {artifact}", home):
            names = self._settle()
            known = dict(digests or {})
            if unknown := known.keys() - names:
                raise StorageError(
                    "A digest is given for a file that was not written",
                    found=sorted(unknown),
                    where=self.path,
                )
            rest = sha256_files([self.path / name for name in names if name not in known])
            known |= {path.relative_to(self.path).as_posix(): sum_ for path, sum_ in rest.items()}
            receipt = Receipt(
                artifact=artifact,
                files={
                    name: FileRecord((self.path / name).stat().st_size, known[name])
                    for name in sorted(names)
                },
                inputs=dict(inputs),
                code_version=code_version,
                entry_digest=entry_digest,
                facts=json.loads(json.dumps(dict(facts or {}))),  # as it will be read
                sequence=1 + max((made.sequence for made in versions.history(artifact)), default=0),
                made_at=receipts.now(),
                host=receipts.host(),
                seconds=seconds,
            )
            self._install(receipt)
        return receipt

    def adopt(self, made: Receipt, digests: Mapping[str, str] | None = None) -> Receipt:
        """Makes what was written the current version, as it was made elsewhere: its receipt keeps
        when, where and from what that was. `digests` as in `commit`. Raises `StorageError` unless
        the files are those of `made`, by path and SHA-256.

        Only the receipt's place among the versions that are here is its own.
        """
        versions, artifact = self._versions, self._artifact
        home = versions.home(artifact)
        with storage_errors(f"Committing {artifact}", home):
            names = self._settle()
            known = dict(digests or {})
            rest = sha256_files([self.path / name for name in names if name not in known])
            found = {path.relative_to(self.path).as_posix(): one for path, one in rest.items()}
            found |= known
            if made.artifact != artifact or found != {n: f.sha256 for n, f in made.files.items()}:
                raise StorageError(
                    "These are not the files that the receipt names",
                    expected=f"version {made.version} of {made.artifact}",
                    found="other files or bytes",
                    where=self.path,
                )
            here = max((one.sequence for one in versions.history(artifact)), default=None)
            receipt = made if here is None else replace(made, sequence=1 + here)
            self._install(receipt)
        return receipt

    def take_up(self, version: str) -> None:
        """Makes a version that is here the current one."""
        with storage_errors(f"Making {self._artifact} current", self.path):
            self._lock.require()
            self._versions.point_current(self._artifact, version)

    def _install(self, receipt: Receipt) -> None:
        """Gives the version its name, then moves `current` to it."""
        versions, artifact = self._versions, self._artifact
        home = versions.home(artifact)
        write_bytes(self.path / receipts.NAME, receipt.to_bytes())
        self._lock.require()
        version = home / receipt.version
        if os.path.lexists(version) and not disk.is_folder(version):
            aside.set_aside(versions.root, version)
        if os.path.lexists(version):
            self._renew(version, receipt)
        else:
            disk.rename(self.path, version)
            disk.sync(home)
        versions.point_current(artifact, receipt.version)

    def _settle(self) -> set[str]:
        """Gives every file its mode by the umask and puts it on the device; the files' names."""
        names: set[str] = set()
        # The staging folder was made by the umask: its bits are the umask's, without asking for
        # it (which Python can only do by changing it, under every other thread's feet).
        mode = stat.S_IMODE(disk.status(self.path).st_mode) & 0o777
        for folder, folders, files in os.walk(self.path, topdown=False):
            here = Path(folder)
            for name in files + folders:
                path = here / name
                found = path.lstat()
                wanted = mode if stat.S_ISDIR(found.st_mode) else mode & 0o666
                if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
                    raise StorageError(
                        "An artifact may hold plain files only",
                        expected="a file",
                        found="a link" if path.is_symlink() else "a device, pipe or socket",
                        where=path,
                    )
                if stat.S_IMODE(found.st_mode) & 0o777 != wanted:
                    disk.chmod(path, wanted)
                if name in files:
                    disk.sync(path)
                    names.add(bounds.checked_path(path.relative_to(self.path).as_posix()))
            disk.sync(here)
        if not names or receipts.NAME in names:
            raise StorageError(
                "An artifact holds at least one file, and none called receipt.json",
                found=sorted(names),
                where=self.path,
            )
        return names

    def _renew(self, version: Path, receipt: Receipt) -> None:
        """Replaces each file of a version by the same file, as it was made this time."""
        root = self._versions.root
        for extra in _unexpected(version, receipt):
            aside.set_aside(root, extra)
        for name in receipt.files:
            disk.make_folders((version / name).parent)
            disk.rename(self.path / name, version / name)
        for folder, _, _ in os.walk(version, topdown=False):
            disk.sync(Path(folder))
        disk.rename(self.path / receipts.NAME, version / receipts.NAME)
        disk.sync(version)


def current_version(home: Path) -> str | None:
    """What `home/current` says, None when it is not there; `StorageError` when it is not ours, or
    may not be read."""
    link = home / CURRENT
    try:
        target = str(link.readlink())
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in DENIED:
            raise refused(error, link) from error
        target = "something that is not a link"
    if not bounds.VERSION.fullmatch(target):
        raise StorageError(
            "`current` is not the link that this package makes",
            expected="a link to a version beside it",
            found=target,
            where=link,
            hint=f"move it away (`mv {quote(str(link))} {quote(f'{link}.before')}`), then `wmtp "
            "materialize`. A copy that followed links is the usual cause: cp -a keeps them.",
        )
    return target


def version_folders(home: Path) -> list[Path]:
    """The folders in `home` that bear a version's name."""
    if not home.is_dir():
        return []
    return sorted(path for path in home.iterdir() if bounds.VERSION.fullmatch(path.name))


def leftovers(home: Path) -> list[Path]:
    """What a killed process left in `home`; only meaningful to the holder of its lock."""
    if not home.is_dir():
        return []
    return sorted(path for path in home.iterdir() if path.name.startswith(disk.LEFTOVERS))


def _unusable(error: StorageError, folder: Path) -> Mismatch:
    where = error.where if isinstance(error.where, Path) else folder
    return Mismatch(where, str(error.expected), str(error.found))


def _compare(
    folder: Path, receipt: Receipt, *, deep: bool, known: Mapping[str, str]
) -> list[Mismatch]:
    if folder.is_symlink():
        return [Mismatch(folder, "a folder", f"a link to {folder.readlink()}")]
    found = []
    try:
        there = dict(_entries(str(folder), _folders(receipt)))
    except OSError as error:
        where = Path(os.fsdecode(error.filename or folder))
        return [Mismatch(where, "a folder that can be read", error.strerror or str(error))]
    unread: dict[Path, FileRecord] = {}
    for name, record in receipt.files.items():
        path, entry = folder / name, there.pop(name, None)
        if entry is None:
            found.append(Mismatch(path, f"{record.size} bytes", "nothing"))
        elif not stat.S_ISREG(entry.st_mode):
            found.append(Mismatch(path, "a plain file", "something else"))
        elif entry.st_size != record.size:
            found.append(Mismatch(path, f"{record.size} bytes", f"{entry.st_size} bytes"))
        else:
            unread[path] = record
    if deep:
        digests = {folder / name: digest for name, digest in known.items()}
        digests |= sha256_files(path for path in unread if path not in digests)
        for path, record in unread.items():
            if digests[path] != record.sha256:
                expected = f"SHA-256 {record.sha256}"
                found.append(Mismatch(path, expected, f"SHA-256 {digests[path]}"))
    there.pop(receipts.NAME, None)
    for name, entry in there.items():
        kind = "a folder" if stat.S_ISDIR(entry.st_mode) else "a file"
        there_is = f"{kind} that the receipt does not know"
        found.append(Mismatch(folder / name, "nothing", there_is))
    return found


def _entries(
    folder: str, known: Collection[str], within: str = ""
) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below a folder by its path from there, but the `known` folders; follows no link.

    The contents of an unknown folder are not listed.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{within}{entry.name}"
            if name in known and entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path, known, f"{name}/")
            else:
                yield name, entry.stat(follow_symlinks=False)


def _folders(receipt: Receipt) -> set[str]:
    """The folders of a version's files."""
    return {str(above) for name in receipt.files for above in PurePosixPath(name).parents} - {"."}


def _unexpected(folder: Path, receipt: Receipt) -> list[Path]:
    """What is in a version and is no file of it, or stands in place of one and is none."""
    return [
        folder / name
        for name, entry in _entries(str(folder), _folders(receipt))
        if not (stat.S_ISREG(entry.st_mode) and (name in receipt.files or name == receipts.NAME))
    ]
