"""Verdicts by the content that they were reached from, so that nothing is executed twice.

A folder of segments, files of one line per verdict that are only appended to. Each process appends
to a segment of its own, locked for as long as it does, and reads those of all. A line begins with
the checksum of its rest: what a killed process or a full disk left of a line is not read, and the
next line begins after a line break of its own.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from wmtp_assets.execution.tasks import Judged, Verdict
from wmtp_assets.storage import disk, locks
from wmtp_assets.storage.errors import storage_errors

_SUFFIX: Final = ".verdicts"
_LARGEST: Final = 256 << 20  # bytes of a segment before another one is begun


class VerdictCache:
    """The verdicts in a folder, which is made where it is missing; a context manager.

    What other processes add is seen by those that open the cache afterwards. Raises StorageError
    where the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[bytes, Judged] = {}
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        with storage_errors("Opening the verdicts", self.folder, disk_only=True):
            disk.make_folders(self.folder)
            for path in self._segments():
                for key, judged in _read(path):
                    self._known[key] = judged
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
        self._known.clear()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, key: str) -> Judged | None:
        """The verdict of a key (`tasks.key_of`), if there is one."""
        return self._known.get(bytes.fromhex(key))

    def put(self, key: str, judged: Judged) -> None:
        """Adds a verdict. It survives the death of this process at once, and of the machine when
        the cache is closed."""
        with storage_errors("Adding a verdict", self.folder, disk_only=True):
            if self._descriptor is None:
                self._descriptor = self._own_segment()
            rest = memoryview(_line(key, judged))
            while rest:
                rest = rest[disk.write(self._descriptor, rest) :]
        self._known[bytes.fromhex(key)] = judged

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


def _read(path: Path) -> Iterator[tuple[bytes, Judged]]:
    with path.open("rb") as file:
        for line in file:
            checksum, _, text = line.rstrip(b"\n").partition(b" ")
            if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
                continue
            key, verdict, *rest = json.loads(text)
            yield bytes.fromhex(key), Judged(Verdict(verdict), *rest)
