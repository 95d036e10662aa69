"""`wmtp pull`: the edition of a bucket as a storage.

    <storage>/.pulling/<SHA-256>     what has arrived of a file, piece by piece

Everything is fetched and compared before anything takes its place. Then every artifact becomes a
version by one rename and every set is published by one, as when they are made here. Killed at any
moment, the same command continues: what has arrived is read again, not fetched.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from wmtp_assets.bucket.edition import LOCK_NAME, PIECE, Edition
from wmtp_assets.bucket.heads import Head, current
from wmtp_assets.bucket.place import Bucket
from wmtp_assets.bucket.reading import Piece, Wrong, arriving, pieces_of
from wmtp_assets.progress import following
from wmtp_assets.storage import disk, locks, walks
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets.storage.errors import StorageError, storage_errors
from wmtp_assets.storage.garbage import Guarded
from wmtp_assets.storage.preflight import PULLING, require_space, require_storage
from wmtp_assets.storage.receipts import Receipt
from wmtp_assets.storage.store import Store

LOCK = Path(".locks") / "pull.lock"


@dataclass
class Pulled:
    """What a pull did: `bytes` arrived, `there` were there already. Where objects of the bucket are
    `wrong` (by key), nothing has taken its place."""

    head: Head
    edition: Edition
    bytes: int = 0
    there: int = 0
    wrong: dict[str, Wrong] = field(default_factory=dict)


def pull(bucket: Bucket, store: Store, merge_lock: Callable[[bytes], None]) -> Pulled:
    """Makes the bucket's edition what the storage publishes; what else is there stays.

    `merge_lock` takes over the edition's assets.lock. Raises BucketError where the bucket cannot be
    read or holds no edition; StorageError where the disk refuses or is too small, where the folder
    is no storage, or where another pull is at work.
    """
    require_storage(store.root, "A pull")
    head, edition = current(bucket)
    with storage_errors("Pulling", store.root):
        disk.make_folders(store.root)
        with locks.exclusive_now(store.writable(store.root / LOCK)) as claim:
            if claim is None:
                raise StorageError(
                    "Another process is pulling into this storage",
                    found=locks.holder(store.root / LOCK),
                    where=store.root,
                    hint="wait for it, or end it.",
                )
            return _Pull(bucket, store, head, edition, claim).run(merge_lock)


def abandoned(store: Store) -> list[Guarded]:
    """What a pull left that was killed, for `gc`, which leaves it alone while one is at work."""
    folder = store.root / PULLING
    if not folder.is_dir() or folder.is_symlink():
        return []
    lock = store.writable(store.root / LOCK)
    return [Guarded(PULLING, {lock: "a pull is at work"}, lambda: walks.files_below(folder))]


class _Pull:
    """One call of `pull`, under its lock."""

    def __init__(
        self, bucket: Bucket, store: Store, head: Head, edition: Edition, claim: locks.Held
    ) -> None:
        self.bucket, self.store, self.edition, self.claim = bucket, store, edition, claim
        self.folder = store.writable(store.root / PULLING)
        self.done = Pulled(head, edition)
        self.sizes = edition.contents()

    def run(self, merge_lock: Callable[[bytes], None]) -> Pulled:
        here = {name for name, made in self.edition.receipts.items() if self._is_here(name, made)}
        kept = {path for path in self.edition.files if self._is_there(path)}
        wanted = {
            record.sha256: record.size
            for name, made in self.edition.receipts.items()
            if name not in here
            for record in made.files.values()
        }
        wanted |= {
            record.sha256: record.size
            for path, record in self.edition.files.items()
            if path not in kept
        }
        contents = self.edition.contents()
        lists = (self.edition.blocks[one] for one, size in wanted.items() if size > PIECE)
        # The lists of blocks have no place here; they are read because they might be damaged.
        self._fetch(wanted | {one: contents[one] for one in lists})
        if self.done.wrong:
            return self.done
        self.claim.require()
        for path, record in self.edition.files.items():
            if path == LOCK_NAME and path not in kept:
                merge_lock((self.folder / record.sha256).read_bytes())
            elif path not in kept:
                self._place(record.sha256, self.store.writable(self.store.root / path))
        for name, made in self.edition.receipts.items():
            self._adopt(name, made, name in here)
        for publication in self.edition.publications.values():
            self.store.adopt(publication)
        if os.path.lexists(self.folder):
            disk.remove_tree(self.folder)
        return self.done

    def _is_here(self, name: str, made: Receipt) -> bool:
        """Whether this version is here, byte for byte."""
        home = self.store.versions.home(name)
        return os.path.lexists(home / made.version) and not self.store.versions.mismatches(
            name, deep=True, version=made.version
        )

    def _is_there(self, path: str) -> bool:
        """Whether the file at `path` is the edition's, byte for byte."""
        record, place = self.edition.files[path], self.store.root / path
        with suppress(OSError):
            status = place.lstat()
            if status.st_size == record.size and place.is_file() and not place.is_symlink():
                return sha256_file(place) == record.sha256
        return False

    # Fetching.

    def _fetch(self, wanted: dict[str, int]) -> None:
        """All of `wanted`, by SHA-256, below `.pulling`."""
        disk.make_folders(self.folder)
        for name in disk.listing(self.folder):
            if name not in wanted:  # of an edition that was there before
                disk.unlink(self.folder / name)
        starts = {sha256: self._arrived(sha256, size) for sha256, size in wanted.items()}
        missing = sum(max(0, size - PIECE * starts[one]) for one, size in wanted.items())
        require_space(self.store.root, missing, "A pull")
        total = sum(self.sizes.values())
        self.done.there = total - missing
        with following("pulling", total, None) as at:
            jobs = self._jobs(wanted, starts)
            writing = _Writing(self.folder)
            broken: set[str] = set()
            try:
                for piece, data, wrong in arriving(self.bucket, jobs):
                    if wrong:
                        self.done.wrong[piece.key] = Wrong(f"SHA-256 {piece.sha256}", wrong)
                        broken.add(piece.file)
                    if piece.file in broken:
                        continue
                    last = PIECE * piece.number + piece.size == wanted[piece.file]
                    whole = writing.add(piece, data, last)
                    self.done.bytes += piece.size
                    at(self.done.there + self.done.bytes)
                    if whole is not None and whole != piece.file:
                        self.done.wrong[piece.key] = Wrong(
                            f"the last piece of a file of SHA-256 {piece.file}", f"SHA-256 {whole}"
                        )
                        disk.unlink(self.folder / piece.file)
            finally:
                writing.close()

    def _jobs(self, wanted: dict[str, int], starts: dict[str, int]) -> Iterator[Piece]:
        for sha256, size in wanted.items():
            yield from pieces_of(self.edition, sha256, size, starts[sha256])

    def _arrived(self, sha256: str, size: int) -> int:
        """How many pieces of a file have arrived, and are what they should be."""
        path = self.folder / sha256
        if not os.path.lexists(path):
            return 0
        count = 0
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= size:
            with path.open("rb") as file:
                for piece in pieces_of(self.edition, sha256, size):
                    if hashlib.sha256(file.read(piece.size)).hexdigest() != piece.sha256:
                        break
                    count += 1
            whole = PIECE * count >= size
            if not whole or sha256_file(path) == sha256:
                return count
        disk.unlink(path)
        return 0

    # Taking places.

    def _place(self, sha256: str, path: Path) -> None:
        """Gives a file that has arrived its name, in place of whatever was there."""
        disk.make_folders(path.parent)
        temporary = disk.fresh(path.parent, disk.TEMPORARY)
        disk.hardlink(self.folder / sha256, temporary)
        try:
            disk.rename(temporary, path)
        except (OSError, StorageError):
            disk.unlink(temporary)
            raise
        disk.sync(path.parent)

    def _adopt(self, name: str, made: Receipt, here: bool) -> None:
        """Makes this version the artifact's current one, with this receipt."""
        with self.store.stage(name) as staging:
            if here:
                known = self.store.versions.receipt(name, made.version)
                if replace(known, sequence=made.sequence) == made:
                    staging.take_up(made.version)
                    return
            home = self.store.versions.home(name) / made.version
            for path, record in made.files.items():
                disk.make_folders((staging.path / path).parent)
                source = home / path if here else self.folder / record.sha256
                disk.hardlink(source, staging.path / path)
            digests = {path: record.sha256 for path, record in made.files.items()}
            staging.adopt(made, digests)


class _Writing:
    """The one file that is being written: pieces of a file come one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = ""
        self._descriptor = -1
        self._whole = hashlib.sha256()

    def add(self, piece: Piece, data: bytes, last: bool) -> str | None:
        """Writes a piece; the SHA-256 of the whole file when it is the `last`."""
        if piece.file != self._file:
            self.close()
            self._open(piece)
        with storage_errors("Pulling", self._folder):
            rest = memoryview(data)
            while rest:
                rest = rest[disk.write(self._descriptor, rest) :]
            self._whole.update(data)
            if not last:
                return None
            disk.fsync(self._descriptor)
        self.close()
        return self._whole.hexdigest()

    def _open(self, piece: Piece) -> None:
        path = self._folder / piece.file
        self._descriptor = disk.open_unshared(path)
        self._file = piece.file
        self._whole = hashlib.sha256()
        start = PIECE * piece.number
        position = 0
        while position < start and (data := os.pread(self._descriptor, 1 << 20, position)):
            data = data[: start - position]
            self._whole.update(data)
            position += len(data)
        os.lseek(self._descriptor, start, os.SEEK_SET)

    def close(self) -> None:
        """Closes what is open; what has arrived stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._file = -1, ""
