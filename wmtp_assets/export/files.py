"""One file, under its final name only when its bytes are those that its receipt states.

Methods, and what each costs and risks:

    reflink   a clone on the same file system (Btrfs, XFS, ...): no time, no room, and a change of
              one is none of the other
    copy      read once, digested on the way
    link      a second name of the storage's own file, only where it was asked for: no time, no
              room, but who writes into the export changes the storage
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from wmtp_assets.storage import disk, page_cache
from wmtp_assets.storage.digests import sha256_file, watched
from wmtp_assets.storage.errors import LACKING, StorageError

_BLOCK = 256 << 10  # fits the processor's cache: what was read is hashed and written from there
_BEHIND = 32 << 20  # bytes after which what was read and written need not stay in memory
_NO_CLONE = LACKING | {errno.EXDEV, errno.ENOTTY, errno.EPERM, errno.EBADF, errno.ETXTBSY}
_NO_LINK = LACKING | {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES}


class Method(StrEnum):
    """How the bytes of a file came to be in an export."""

    REFLINK = "reflink"
    LINK = "link"
    COPY = "copy"


def place(
    source: Path,
    target: Path,
    scratch: Path,
    sha256: str,
    *,
    link: bool,
    read: Callable[[int], None],
    require: Callable[[], None] = lambda: None,
) -> Method | str:
    """Puts the bytes of `source` at `target`, in place of what was there, if their digest is
    `sha256`; how. Otherwise the digest that was found, and nothing has changed.

    What is at `target` afterwards was read whole, and is on the device but for its folder's entry.
    `scratch` is a folder on the same file system, for a temporary. `read` is called with numbers of
    bytes as they are read, and `require` last before the file gets its name: it raises what keeps
    it from that. Memory: 256 KiB. Raises `OSError`, StorageError.
    """
    temporary = disk.fresh(scratch, disk.TEMPORARY)
    try:
        if link and linked(source, temporary):
            method = Method.LINK
            with watched(read):
                found = sha256_file(temporary)
        else:
            method, found = _made(source, temporary, read)
        if found != sha256:
            disk.unlink(temporary)
            return found
        require()
        disk.rename(temporary, target)
    except BaseException:
        with suppress(OSError):
            disk.unlink(temporary)
        raise
    return method


def link_to(first: Path, target: Path, scratch: Path) -> bool:
    """Makes `target` another name of the file `first`; False where the file system cannot."""
    temporary = disk.fresh(scratch, disk.TEMPORARY)
    if not linked(first, temporary):
        return False
    try:
        disk.rename(temporary, target)
    except BaseException:
        with suppress(OSError):
            disk.unlink(temporary)
        raise
    return True


def can_clone(source: Path, scratch: Path) -> bool:
    """Whether a clone of `source` can be made in the folder `scratch`. Tries it."""
    temporary = disk.fresh(scratch, disk.TEMPORARY)
    descriptor = disk.create(temporary)
    try:
        return _cloned(source, descriptor)
    finally:
        os.close(descriptor)
        disk.unlink(temporary)


def linked(source: Path, path: Path) -> bool:
    """Gives a file the second name `path`; False where it cannot have one there."""
    try:
        disk.hardlink(source, path)
    except StorageError as error:  # a mount between the two
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EXDEV:
            return False
        raise
    except OSError as error:
        if error.errno in _NO_LINK:
            return False
        raise
    return True


def _made(source: Path, temporary: Path, read: Callable[[int], None]) -> tuple[Method, str]:
    descriptor = disk.create(temporary)
    try:
        if _cloned(source, descriptor):
            method = Method.REFLINK
            with watched(read):
                found = sha256_file(temporary)
        else:
            method, found = Method.COPY, _copied(source, descriptor, read)
        disk.fsync(descriptor)
    finally:
        os.close(descriptor)
    return method, found


def _cloned(source: Path, descriptor: int) -> bool:
    original = disk.open_existing(source)
    try:
        disk.clone(original, descriptor)
    except OSError as error:
        if error.errno in _NO_CLONE:
            return False
        raise
    finally:
        os.close(original)
    return True


def _copied(source: Path, descriptor: int, read: Callable[[int], None]) -> str:
    """Copies a file's bytes; their SHA-256."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_BLOCK))
    original = disk.open_existing(source)
    try:
        page_cache.read_in_order(original)
        position = forgotten = 0
        while count := os.readv(original, [buffer]):
            block = buffer[:count]
            digest.update(block)
            while block:
                block = block[disk.write(descriptor, block) :]
            position += count
            read(count)
            if position - forgotten >= _BEHIND:
                page_cache.forget(original, forgotten, position - forgotten)
                # What was written just now is on its way; what was written before that is there.
                page_cache.forget(descriptor, 0, position)
                forgotten = position
        if forgotten:  # a small file may stay
            page_cache.forget(original, forgotten, position - forgotten)
    finally:
        os.close(original)
    return digest.hexdigest()
