"""What was read of buckets, kept on this machine by digest, within a limit of bytes.

    <cache>/blocks/<two digits>/<BLAKE3>    blocks of long files
    <cache>/files/<SHA-256>                 short files, whole
    <cache>/open/<...>/                     links to those that a reader has open

It may be shared by processes, and removed at any time. What is read of it is compared with its
digest as if it came from the bucket, so nothing here is trusted, synced or locked.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import blake3

from wmtp_assets.bucket.access import BucketError
from wmtp_assets.bucket.blocks import BLOCK
from wmtp_assets.storage import walks
from wmtp_assets.storage.errors import StorageError

FOLDER, LIMIT = "WMTP_CACHE", "WMTP_CACHE_BYTES"
DEFAULT = 20 * 10**9
"""Bytes of the cache at most, where `WMTP_CACHE_BYTES` does not say."""
_TOUCHED = 600.0  # seconds after which a use of a file is recorded anew
_LEFT = 0.8  # of the limit, after the oldest were removed
_DAY = 86400.0
_TEMPORARY = ".tmp-"


class Cache:
    """The cache in `folder`, of `limit` bytes at most; by default what `WMTP_CACHE` and
    `WMTP_CACHE_BYTES` say, or 20 GB in `~/.cache/wmtp_assets`.

    Raises BucketError where the limit is no number, and where nothing says where a cache may be.
    """

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        self.folder = folder or _folder()
        self.limit = _limit() if limit is None else limit
        # Whoever writes looks now and then whether it is too much; the first time, soon.
        self._until_look = 0

    def block(self, digest: bytes) -> bytes | None:
        """The block of this BLAKE3 digest; None where it is not here, or is damaged."""
        data = _used(self._block(digest), BLOCK)
        return data if data is not None and blake3.blake3(data).digest() == digest else None

    def keep_block(self, digest: bytes, data: bytes | memoryview) -> None:
        """Keeps a block, which has been compared with its digest. A full disk keeps it from that,
        and is no error: the cache is for speed only."""
        with suppress(OSError):
            self._write(self._block(digest), [data])

    def whole(self, sha256: str, size: int, pieces: Callable[[], Iterable[bytes]]) -> bytes:
        """A short file of `size` bytes; where it is not here or damaged, it is what `pieces` give,
        which have been compared with their digests."""
        path = self._file(sha256)
        data = _used(path, size)
        if data is None or hashlib.sha256(data).hexdigest() != sha256:
            data = b"".join(pieces())
            with suppress(OSError):
                self._write(path, [data])
        return data

    def link(self, sha256: str, pieces: Callable[[], Iterable[bytes]], place: Path) -> None:
        """Makes `place`, in a folder that `opened` gave, a file as `whole` has it, of any length.
        Raises StorageError where the disk refuses."""
        with cache_errors(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            # Not every file system has links, and not every user may link to another's files.
            with suppress(OSError):
                os.link(self._file(sha256), place)
                with open(_opened(place), "rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                        _touch(file.fileno())
                        return
            place.unlink(missing_ok=True)
            self._write(place, pieces())
            with suppress(OSError):
                self._keep(place, self._file(sha256))

    def _keep(self, place: Path, kept: Path) -> None:
        """Gives a file a second name, in place of whatever is there; others do the same."""
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = kept.parent / f"{_TEMPORARY}{secrets.token_hex(8)}"
        os.link(place, temporary)
        try:
            temporary.replace(kept)
        finally:
            temporary.unlink(missing_ok=True)

    def opened(self) -> Path:
        """A new folder, for links to files that stay for as long as it does."""
        parent = self.folder / "open"
        with cache_errors(self.folder):
            parent.mkdir(parents=True, exist_ok=True)
            return Path(tempfile.mkdtemp(dir=parent))

    def _file(self, sha256: str) -> Path:
        return self.folder / "files" / sha256

    def _block(self, digest: bytes) -> Path:
        name = digest.hex()
        return self.folder / "blocks" / name[:2] / name

    def _write(self, path: Path, parts: Iterable[bytes | memoryview]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f"{_TEMPORARY}{secrets.token_hex(8)}"
        try:
            with temporary.open("xb", buffering=0) as file:
                for part in parts:
                    self._until_look -= len(part)
                    rest = memoryview(part)
                    while rest:
                        rest = rest[file.write(rest) :]
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        if self._until_look <= 0:
            self._until_look = self.limit // 16
            self.shrink()

    def shrink(self) -> None:
        """Removes what was not used for longest, where the whole is larger than the limit, and what
        killed processes left."""
        kept: list[tuple[float, int, Path]] = []
        now = time.time()
        for folder in ("blocks", "files"):
            for path in walks.files_below(self.folder / folder, denied=True):
                with suppress(OSError):
                    status = path.lstat()
                    if not path.name.startswith(_TEMPORARY):
                        kept.append((status.st_mtime, status.st_size, path))
                    elif now - status.st_mtime > _DAY:
                        path.unlink()
        total = sum(size for _, size, _ in kept)
        if total > self.limit:
            for _, size, path in sorted(kept, key=lambda one: one[0]):
                if total <= _LEFT * self.limit:
                    break
                with suppress(OSError):
                    path.unlink()
                    total -= size
        for path in walks.entries(self.folder / "open"):
            with suppress(OSError):
                if now - path.stat().st_mtime > 30 * _DAY:
                    shutil.rmtree(path)


@contextmanager
def cache_errors(place: Path) -> Iterator[None]:
    """For the block, what the cache's disk refuses is a StorageError that names the cache."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            "What was read of a bucket cannot be kept in the cache",
            found=error.strerror or error,
            where=place,
            hint=f"free some room on its disk, or set {FOLDER} to a folder that has room and in "
            "which this user may write.",
        ) from error


def _used(path: Path, most: int) -> bytes | None:
    """The bytes of a file; None where there is none, or it has more than `most`."""
    try:
        with open(_opened(path), "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size > most:
                return None
            _touch(file.fileno())
            return file.read(most)
    except OSError:
        return None


def _opened(path: Path) -> int:
    """A descriptor of a plain file. Raises OSError where it is none: a pipe would be waited for,
    and a link may lead to what never ends."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", str(path))
    return descriptor


def _touch(descriptor: int) -> None:
    """Records that a file was used, where that is long ago."""
    with suppress(OSError):
        if time.time() - os.fstat(descriptor).st_mtime > _TOUCHED:
            os.utime(descriptor)


def _folder() -> Path:
    if given := os.environ.get(FOLDER):
        return Path(given)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "wmtp_assets")
    except RuntimeError as error:  # a user without a home, as in some containers
        raise BucketError(
            "There is no folder for the cache: this user has no home",
            expected=f"a folder in {FOLDER}",
            found="neither that nor HOME",
            hint=f"set {FOLDER} to a folder in which this user may write.",
        ) from error


def _limit() -> int:
    given = os.environ.get(LIMIT, str(DEFAULT))
    try:
        limit = int(float(given))
    except (ValueError, OverflowError):
        limit = -1
    if limit < 0:
        raise BucketError(
            f"{LIMIT} is not a number of bytes",
            expected="a number such as 20e9, or 0 to keep nothing for long",
            found=given,
            hint=f"`unset {LIMIT}`, or set it to a number.",
        )
    return limit
