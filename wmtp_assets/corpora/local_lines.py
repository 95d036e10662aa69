"""How bytes of a JSONL file on a disk are read: at once by a map, or by position.

Never by a shared file offset, so that readers work after a fork.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from wmtp_assets.storage import page_cache
from wmtp_assets.storage.file_systems import file_system_of

GAP = 32 << 10
"""Unread bytes that cost less than another read."""
SPAN = 4 << 20
"""Bytes read at once."""
_AHEAD = 128  # ranges asked of the disk before they are read
_SMALL = 512 << 20  # bytes of a file that is read whole as soon as its first row is
_READ_AHEAD = 128 << 10  # bytes


class LocalLines:
    """The bytes of `path`, a file of `size` bytes; `mapped` is `mmap` as `open_corpus` takes it."""

    def __init__(self, path: Path, size: int, mapped: bool | None) -> None:
        self._path, self._size, self._mapped = path, size, mapped

    def read_all(self, ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """The bytes `begin`..`end` for each of these ranges, in their order."""
        file = self._file.fileno()
        every = list(ranges)
        # Cold ranges are on their way from the disk, many at once, before their turn comes.
        for begin, end in every[:_AHEAD]:
            page_cache.expect(file, begin, end - begin)
        for number, (begin, end) in enumerate(every):
            if number + _AHEAD < len(every):
                later, until = every[number + _AHEAD]
                page_cache.expect(file, later, until - later)
            yield os.pread(file, end - begin, begin)

    def reader(self) -> Callable[[int, int], bytes]:
        """What reads bytes from an offset on.

        Mapped, a row of a small file costs no system call; a fork shares the map, and the file is
        never changed (a new version is another file). A row of a large one is likely cold, and then
        a map would ask the disk, or a file server, for each of its pages in turn.
        """
        file = self._file.fileno()
        mapped = self._mapped
        if mapped is None:
            mapped = self._size <= _SMALL and file_system_of(self._path).is_local
        if mapped:
            data = mmap.mmap(file, 0, prot=mmap.PROT_READ)

            def read(begin: int, size: int) -> bytes:
                return data[begin : begin + size]

        else:

            def read(begin: int, size: int) -> bytes:
                return os.pread(file, size, begin)

        return read

    @cached_property
    def _file(self) -> BinaryIO:
        """The file, opened when the first row is read."""
        file = self._path.open("rb", buffering=0)
        if self._size <= _SMALL:
            # Soon read whole anyway. The kernel takes no more than its read-ahead at a time.
            for begin in range(0, self._size, _READ_AHEAD):
                page_cache.expect(file.fileno(), begin, _READ_AHEAD)
        else:
            # Reading around each row would cost far more than the row, and push others out.
            page_cache.read_at_random(file.fileno())
        return file
