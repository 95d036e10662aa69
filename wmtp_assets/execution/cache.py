"""Verdicts by the content that they were reached from, so that nothing is executed twice.

A folder of segments, files of one line per verdict that are only appended to. Each process appends
to a segment of its own, locked for as long as it does, and reads those of all. A line begins with
the checksum of its rest: what a killed process or a full disk left of a line is not read, and the
next line begins after a line break of its own. Nor is a line that another version of this package
wrote in another form.

In memory there are 16 bytes of each verdict, and those of this process as a whole: many workers of
a machine may have the same millions of them open.

Whoever may write here may state any verdict, as whoever may write into the storage may; checks
execute some rows anew (`artifacts/checks/verdicts.py`).
"""

from __future__ import annotations

import json
import os
import re
import zlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import numpy as np

from wmtp_assets.execution.tasks import Judged, Verdict, shortened
from wmtp_assets.storage import disk, locks
from wmtp_assets.storage.errors import storage_errors

_SUFFIX: Final = ".verdicts"
_LARGEST: Final = 256 << 20  # bytes of a segment before another one is begun
_LINE: Final = 64 << 10  # bytes: several times what the longest reason takes
_PLACE_BITS: Final = 40  # of a place in a segment; the number of the segment is above them
_MOST_SECONDS: Final = 1e9
_KEPT: Final = frozenset(Verdict) - {Verdict.NOT_RUNNABLE}
"""Another machine may execute what was not runnable here."""
_KEY: Final = re.compile("[0-9a-f]{64}")
_ANSWER: Final = re.compile("(?:[0-9a-f]{16})?")


class VerdictCache:
    """The verdicts in a folder, which is made where it is missing; a context manager.

    What other processes add is seen by those that open the cache afterwards. Raises StorageError
    where the folder cannot be written, or holds a link, a pipe or a folder called as a segment.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own: dict[bytes, Judged] = {}
        self._index = _Index()
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        with storage_errors("Opening the verdicts", self.folder):
            disk.make_folders(self.folder)
            self._index = _Index(self._segments())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            disk.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None
        self._index.close()
        self._index = _Index()
        self._own.clear()

    def __len__(self) -> int:
        return len(self._index) + sum(self._index.get(key) is None for key in self._own)

    def get(self, key: str) -> Judged | None:
        """The verdict of a key (`tasks.key_of`), if there is one."""
        digest = bytes.fromhex(key)
        return self._own.get(digest) or self._index.get(digest)

    def put(self, key: str, judged: Judged) -> None:
        """Adds a verdict. It survives the death of this process at once, and of the machine when
        the cache is closed."""
        with storage_errors("Adding a verdict", self.folder):
            if self._descriptor is None:
                self._descriptor = self._own_segment()
            rest = memoryview(_line(key, judged))
            while rest:
                rest = rest[disk.write(self._descriptor, rest) :]
        self._own[bytes.fromhex(key)] = judged

    def _segments(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{_SUFFIX}"))

    def _own_segment(self) -> int:
        """A segment that no other process appends to, opened to be appended to."""
        for number in range(1 << 20):
            path = self.folder / f"{number:04d}{_SUFFIX}"
            descriptor = disk.open_or_create(path, os.O_APPEND)
            size = os.fstat(descriptor).st_size
            if size > _LARGEST or not locks.try_lock_open(descriptor, path):
                os.close(descriptor)
                continue
            if size:
                disk.write(descriptor, b"\n")  # parts a line that was cut from the next
            return descriptor
        raise AssertionError("more segments than processes")


class _Index:
    """Where the verdicts of some segments stand; of several on one key the last one counts."""

    def __init__(self, segments: Sequence[Path] = ()) -> None:
        self._files: list[BinaryIO] = []
        shorts, places = array("Q"), array("Q")
        for number, path in enumerate(segments):
            with storage_errors("Opening the verdicts", path):
                file = os.fdopen(disk.open_existing(path), "rb")
                self._files.append(file)
                for offset, key, _ in _read(file):
                    shorts.append(_short(key))
                    places.append(number << _PLACE_BITS | offset)
        every = np.frombuffer(shorts, np.uint64) if shorts else np.empty(0, np.uint64)
        order = np.argsort(every, kind="stable")
        self._shorts = every[order]
        self._places = (np.frombuffer(places, np.uint64) if places else every)[order]

    def __len__(self) -> int:
        """How many keys, by their last eight bytes."""
        return int(np.unique(self._shorts).size)

    def close(self) -> None:
        """Closes the segments."""
        for file in self._files:
            file.close()

    def get(self, key: bytes) -> Judged | None:
        """The verdict of a key, read anew."""
        short = np.uint64(_short(key))
        begin, end = (int(np.searchsorted(self._shorts, short, side)) for side in ("left", "right"))
        for place in reversed(self._places[begin:end].tolist()):
            file = self._files[place >> _PLACE_BITS]
            file.seek(place & ((1 << _PLACE_BITS) - 1))
            found = _checked(file.readline(_LINE))
            if found is not None and found[0] == key:
                return found[1]
        return None


def _short(key: bytes) -> int:
    return int.from_bytes(key[-8:], "big")


def _line(key: str, judged: Judged) -> bytes:
    values: list[Any] = [
        key,
        str(judged.verdict),
        judged.reason,
        round(judged.seconds, 4),
        judged.memory_bytes,
        judged.tests,
        judged.answer,
    ]
    text = json.dumps(values, separators=(",", ":")).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _read(file: BinaryIO) -> Iterator[tuple[int, bytes, Judged]]:
    """Where a line begins, and its key and verdict, of all that hold one."""
    begins, offset = True, 0  # of a line: longer ones come in parts
    while line := file.readline(_LINE):
        if begins and (found := _checked(line)) is not None:
            yield offset, *found
        begins = line.endswith(b"\n")
        offset += len(line)


def _checked(line: bytes) -> tuple[bytes, Judged] | None:
    """A key and its verdict; None where the line is not whole."""
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if line.endswith(b"\n") and checksum == b"%08x" % zlib.crc32(text):
        return _parsed(text)
    return None


def _parsed(text: bytes) -> tuple[bytes, Judged] | None:
    """A key and its verdict; None where these are no values that `_line` writes."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match values:
        case [
            str(key),
            str(verdict),
            str(reason),
            int() | float() as seconds,
            int(memory),
            int(tests),
            str(answer),
        ]:
            if (
                _KEY.fullmatch(key)
                and verdict in _KEPT
                and reason == shortened(reason)
                and 0 <= seconds < _MOST_SECONDS
                and 0 <= memory < 1 << 63
                and 0 <= tests < 1 << 31
                and _ANSWER.fullmatch(answer)
            ):
                judged = Judged(Verdict(verdict), reason, float(seconds), memory, tests, answer)
                return bytes.fromhex(key), judged
    return None
