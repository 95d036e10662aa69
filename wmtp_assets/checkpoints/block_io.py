"""Large files that are read and written once, front to back, without filling the page cache.

Reads are buffered (the kernel's read-ahead keeps the disk busy) and dropped from the cache behind
the reader; writes go around the cache where the file system allows it. What makes a file appear
whole or not at all is `storage/atomic.py`.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wmtp_assets.checkpoints.tensors import Bytes
from wmtp_assets.storage import disk
from wmtp_assets.storage.atomic import atomic_write
from wmtp_assets.storage.preflight import require_space

_PAGE = 4096
_DIRECT: int = getattr(os, "O_DIRECT", 0)  # Linux


class ReadFiles:
    """Open files by path, for reading once; `forget` drops what was read from the page cache."""

    def __init__(self) -> None:
        self._open: dict[Path, int] = {}

    def fd(self, path: Path) -> int:
        """The descriptor of `path`, opened on first use."""
        if path not in self._open:
            self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(self._open[path], 0, 0, os.POSIX_FADV_SEQUENTIAL)
        return self._open[path]

    def forget(self, path: Path, offset: int, size: int) -> None:
        """These bytes will not be needed again."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._open[path], offset, size, os.POSIX_FADV_DONTNEED)

    def __enter__(self) -> ReadFiles:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._open.values():
            os.close(fd)


class BlockWriter:
    """Appends blocks of page-aligned memory to a file; all but the last must be whole pages."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._direct = self._set_direct(True)

    def write(self, block: Bytes) -> None:
        """Append `block`."""
        whole = len(block) // _PAGE * _PAGE if self._direct else len(block)
        try:
            self._write(block[:whole])
        except OSError as error:
            # Some file systems take the flag and refuse the write: nothing was written then.
            if not self._direct or error.errno != errno.EINVAL:
                raise
            self._set_direct(False)
            self._write(block[:whole])
        if whole < len(block):
            self._set_direct(False)
            self._write(block[whole:])

    def _write(self, block: Bytes) -> None:
        while len(block):
            block = block[disk.write(self._descriptor, block.data) :]

    def _set_direct(self, wanted: bool) -> bool:
        """Write around the page cache, or not; whether the former is now so."""
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        try:
            fcntl.fcntl(
                self._descriptor,
                fcntl.F_SETFL,
                flags | _DIRECT if wanted else flags & ~_DIRECT,
            )
        except OSError:
            wanted = False
        self._direct = wanted and _DIRECT != 0
        return self._direct


@contextmanager
def publish_blocks(target: Path, size: int, purpose: str) -> Iterator[BlockWriter]:
    """A writer whose blocks become `target` when the `with` ends without an error.

    Room for `size` bytes is checked first. Durable, mode by umask, whole or not at all: see
    `atomic_write`.
    """
    require_space(target.parent, size, purpose)
    with atomic_write(target) as stream:
        yield BlockWriter(stream.fileno())
