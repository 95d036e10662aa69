"""Single files, replaced as a whole: a reader sees the old bytes or the new ones."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from wmtp_assets.storage import claims, disk, locks
from wmtp_assets.storage.errors import storage_errors
from wmtp_assets.storage.file_systems import file_system_of

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_BUFFER = 1 << 20


class _Descriptor(io.RawIOBase):
    """The raw end of a file that writes through `disk`; nowhere once it was `abandoned`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.abandoned = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: ReadableBuffer, /) -> int:
        view = memoryview(data)
        return view.nbytes if self.abandoned else disk.write(self._descriptor, view)


@contextmanager
def atomic_write(path: Path, scratch: Path | None = None) -> Iterator[BinaryIO]:
    """Writes a temporary file and renames it over `path` when the block ends well.

    The bytes, and then the folder's entry, are on the device before this returns. The mode follows
    the umask. The temporary is beside `path`, or in `scratch` if `gc` does not look there. When
    the block raises, nothing is left behind and `path` is as it was. Raises `StorageError` when
    the disk refuses.
    """
    with storage_errors(f"Writing {path.name}", path, disk_only=True):
        temporary, descriptor = _open_temporary(scratch or path.parent)
        raw = _Descriptor(descriptor)
        stream = io.BufferedWriter(raw, _BUFFER)
        try:
            yield stream
            stream.flush()
            disk.fsync(descriptor)
            disk.rename(temporary, path)
        except BaseException:
            with suppress(OSError):
                disk.unlink(temporary)
            raise
        finally:
            # What a block that raised left in the buffer must not reach whichever file is opened
            # next under the same number when the stream, or a writer on it, is collected.
            raw.abandoned = True
            os.close(descriptor)
        disk.sync(path.parent)


def write_bytes(path: Path, data: bytes, scratch: Path | None = None) -> None:
    """`data` as the whole of `path`, in one step."""
    with atomic_write(path, scratch) as stream:
        stream.write(data)


def write_json(path: Path, value: object) -> None:
    """`value` as indented JSON in UTF-8 with a final newline, in one step."""
    write_bytes(path, json_bytes(value))


def json_bytes(value: object) -> bytes:
    """How this storage writes a JSON document: indented by 2, no NaN, a final newline."""
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


@contextmanager
def claimed(temporary: Path) -> Iterator[bool]:
    """Yields True, and keeps writers off for the block, when nobody is writing this temporary.

    Where other machines may write without their locks being seen here, that is when it was not
    written to for an hour.
    """
    try:
        descriptor = disk.open_existing(temporary)
    except OSError:  # gone by now, or not a file that this package made
        yield False
        return
    try:
        untouched = time.time() - os.fstat(descriptor).st_mtime
        known = file_system_of(temporary.parent).is_local or untouched > claims.FORGOTTEN
        yield known and locks.try_lock_open(descriptor, temporary)
    finally:
        os.close(descriptor)


def _open_temporary(folder: Path) -> tuple[Path, int]:
    """A new temporary file, locked for as long as it is open, so that `gc` keeps it."""
    while True:
        temporary = disk.fresh(folder, disk.TEMPORARY)
        descriptor = disk.create(temporary)
        try:
            locks.lock_open(descriptor, temporary)
        except BaseException:
            os.close(descriptor)
            with suppress(OSError):
                disk.unlink(temporary)
            raise
        if os.fstat(descriptor).st_nlink:  # else gc came between the two lines above
            return temporary, descriptor
        os.close(descriptor)
