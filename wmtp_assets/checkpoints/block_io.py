"""Large files that are read and written once, front to back, without filling the page cache.

Reads and writes go around the cache where the file system allows it: a third of the processor time
of buffered ones, and others keep their pages. One direct read at a time leaves the disk idle
between two: `READERS` threads take turns. What makes a file appear whole or not at all is
`storage/atomic.py`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.tensors import Bytes, Piece, read_piece
from wmtp_assets.storage import disk, page_cache
from wmtp_assets.storage.atomic import atomic_write
from wmtp_assets.storage.preflight import require_space

READERS = 2
_PAGE = 4096
MARGIN = 2 * _PAGE
_WORTH_PAGES = 64 << 10  # below this, only the piece's own bytes are asked for
_DIRECT: int = getattr(os, "O_DIRECT", 0)  # Linux


class ReadFiles:
    """Open files by path, whose pieces are each read once; several threads may read.

    With `keep` what is read stays in the page cache, for the next reader.
    """

    def __init__(self, keep: bool = False) -> None:
        self._keep = keep
        self._lock = threading.Lock()
        self._open: dict[tuple[Path, int], int] = {}
        self._flags = 0 if keep else _DIRECT

    def read(self, path: Path, piece: Piece, dtype: DType, memory: Bytes) -> Bytes:
        """A piece's bytes, row-major: the part of `memory` (page-aligned) where they now are.

        `memory` has room for the piece and `MARGIN` more. EOFError where the file ends too early.
        """
        if (
            piece.nbytes >= _WORTH_PAGES
            and piece.strides == (1,)
            and piece.offset % dtype.itemsize == 0
        ):
            flags = self._flags
            try:
                return self._read_pages(path, piece, memory, flags)
            except OSError as error:
                # Some file systems take the flag and refuse the read.
                if not flags or error.errno != errno.EINVAL:
                    raise
                self._flags = 0
                return self._read_pages(path, piece, memory, 0)
        read_piece(self._descriptor(path, 0), piece, dtype, memory)
        return memory[: piece.nbytes]

    def _read_pages(self, path: Path, piece: Piece, memory: Bytes, flags: int) -> Bytes:
        """Whole pages, as direct reads want them: two neighbours both read the page they share."""
        descriptor = self._descriptor(path, flags)
        before = piece.offset % _PAGE
        start, end = piece.offset - before, before + piece.nbytes
        stop = -(-end // _PAGE) * _PAGE
        found = 0
        while found < end:
            again = found // _PAGE * _PAGE
            count = os.preadv(descriptor, [memory[again:stop].data], start + again)
            if again + count <= found:
                raise EOFError(f"the file ends at byte {start + found}")
            found = again + count
        if not flags and not self._keep:
            page_cache.forget(descriptor, start, stop)
        return memory[before:end]

    def _descriptor(self, path: Path, flags: int) -> int:
        with self._lock:
            if (path, flags) not in self._open:
                self._open[path, flags] = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
            return self._open[path, flags]

    def __enter__(self) -> ReadFiles:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)


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
