"""The bytes of a file that is still arriving, and the journal that lets them be kept.

Two files: the bytes at their final offsets, and a journal of one line per block (offset, length,
XXH3) under a first line that identifies the file. A block is journalled after it is
written, so a process killed at any instant loses at most the block that was under way. Nothing is
synced on the way: after a power loss a block whose bytes did not reach the disk fails its checksum
when the journal is read again, and is fetched again. The checksum only guards what is kept (XXH3
costs a tenth of CRC-32); whether the file is right is for its SHA-256 to say.

The journal is also the lock: one process at a time holds it, and the kernel frees it when the
holder dies. A claim beside it holds off other machines (`storage/claims.py`).
"""

from __future__ import annotations

import errno
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path

import xxhash

from wmtp_assets.hub.aside import clear_file
from wmtp_assets.hub.headers import plain_etag
from wmtp_assets.storage import claims, disk, locks, page_cache

BYTES, JOURNAL = ".bytes", ".journal"
"""Suffixes of a partial's two files."""

_BLOCK_LINE = re.compile(rb"(\d{1,15}) (\d{1,15}) ([0-9a-f]{16})")
_READ = 1 << 20  # bytes per read while blocks are checked
_LONGEST_JOURNAL = 64 << 20  # bytes; one block per second for two weeks

Interval = tuple[int, int]


@dataclass(frozen=True)
class Identity:
    """Which file these bytes belong to. Any difference means another file.

    `etag` is the Hub's name for the content, `size` in bytes, `digest` the expected SHA-256 or
    git blob id, where there is one.
    """

    commit: str
    etag: str | None
    size: int
    digest: str | None


class Partial:
    """Use `Partial.claim`. Methods may be called from several threads."""

    def __init__(
        self, data: int, journal: int, claim: claims.Held, paths: tuple[Path, Path]
    ) -> None:
        self._data = data
        self._journal = journal
        self._claim = claim
        self._paths = paths
        self._open = True
        self._changed = threading.Condition()
        self._have: list[Interval] = []
        self._size = 0
        self.validator: str | None = None

    @classmethod
    @contextmanager
    def claim(cls, stem: Path, note: Callable[[str], None]) -> Iterator[Partial]:
        """The partial at `stem` (+ .bytes, .journal), held against other processes meanwhile.

        Whatever is left in it when the block ends stays for the next call; an empty one is
        removed, with the folders that it alone needed.
        """
        paths = stem.with_name(stem.name + BYTES), stem.with_name(stem.name + JOURNAL)
        journal, claim = _hold(paths[1], note)
        try:
            clear_file(paths[0], note)
            data = disk.open_unshared(paths[0])
        except BaseException:
            os.close(journal)
            claim.release()
            raise
        partial = cls(data, journal, claim, paths)
        try:
            yield partial
        finally:
            partial._close()

    def begin(self, identity: Identity) -> str | None:
        """Take up what an earlier call left; why it had to be dropped, if it had to."""
        text = _read_all(self._journal)
        lines = text.split(b"\n")[:-1]  # what follows the last newline was torn by a kill
        why = _why_not(lines[0], identity) if lines else "its journal cannot be read"
        had = os.fstat(self._data).st_size
        if why is not None:
            self.reset(identity)
            return why if had else None
        os.ftruncate(self._journal, text.rindex(b"\n") + 1)
        if had > identity.size:
            os.ftruncate(self._data, identity.size)
        self._size = identity.size
        for line in lines[1:]:
            block = _BLOCK_LINE.fullmatch(line)
            if block:
                start, end = int(block[1]), int(block[1]) + int(block[2])
                if self._is_new(start, end) and self._checksum(start, end - start) == block[3]:
                    self._add(start, end)
            elif line.startswith(b'"'):
                self.validator = _validator_of(line) or self.validator
        return None

    def reset(self, identity: Identity) -> None:
        """Forget every byte and begin a journal for `identity`."""
        with self._changed:
            disk.truncate(self._data)
            disk.truncate(self._journal)
            self._have = []
            self._size = identity.size
            self.validator = None
            disk.write(self._journal, json.dumps(asdict(identity)).encode() + b"\n")

    def remember_validator(self, etag: str) -> None:
        """Keep what If-Range is to name when this file is resumed."""
        with self._changed:
            self.validator = etag
            disk.write(self._journal, json.dumps(etag).encode() + b"\n")

    def write(self, offset: int, block: memoryview) -> None:
        """Put a block where it belongs; returns when it would survive the process's death."""
        line = b"%d %d %s\n" % (offset, len(block), xxhash.xxh3_64_hexdigest(block).encode())
        with self._changed:
            if not self._open:
                raise ValueError("the partial is closed")
        done = 0
        while done < len(block):  # beside the other connections: each has its own part of the file
            done += os.pwrite(self._data, block[done:], offset + done)
        with self._changed:
            disk.write(self._journal, line)
            self._add(offset, offset + len(block))
            self._changed.notify_all()

    def read_into(self, buffer: memoryview, offset: int) -> int:
        """Bytes read from what was written (for hashing); like preadv."""
        return os.preadv(self._data, [buffer], offset)

    def settle(self, start: int, end: int) -> None:
        """Let the disk begin to write bytes that nobody needs in memory any more.

        Else all of a large file would be waited for when it is published.
        """
        page_cache.forget(self._data, start, end - start)

    @property
    def kept(self) -> int:
        """How many bytes are there."""
        with self._changed:
            return sum(end - start for start, end in self._have)

    def missing(self) -> list[Interval]:
        """What is not there yet, in order, as [start, end)."""
        with self._changed:
            edges = [(0, 0), *self._have, (self._size, self._size)]
        return [(end, start) for (_, end), (start, _) in pairwise(edges) if end < start]

    def wait_beyond(self, offset: int, timeout: float) -> int:
        """The end of the unbroken prefix, once it is beyond `offset` or `timeout` s have gone."""
        with self._changed:
            self._changed.wait_for(lambda: self._prefix() > offset, timeout)
            return self._prefix()

    def wake(self) -> None:
        """Let `wait_beyond` return now: a worker has ended."""
        with self._changed:
            self._changed.notify_all()

    def publish(self, target: Path) -> None:
        """Let the file appear under its name, on the disk, whole; then drop the journal."""
        disk.fsync(self._data)
        self._claim.require()
        _require_same(self._data, self._paths[0])
        disk.make_folders(target.parent)
        disk.rename(self._paths[0], target)
        disk.sync(target.parent)
        disk.unlink(self._paths[1])

    def quarantine(self, target: Path) -> None:
        """Move the bytes, which are not what they should be, to `target`; begin with none."""
        disk.make_folders(target.parent)
        disk.rename(self._paths[0], target)
        with self._changed:
            os.close(self._data)
            self._data = disk.open_unshared(self._paths[0])
            disk.truncate(self._journal)
            self._have = []

    def discard(self) -> None:
        """Remove the bytes and the journal."""
        for path in self._paths:
            with suppress(FileNotFoundError):
                disk.unlink(path)

    def _close(self) -> None:
        with self._changed:
            self._open = False
            with ExitStack() as held:  # whatever the disk refuses, all of it is given up
                held.callback(os.close, self._journal)
                held.callback(os.close, self._data)
                held.callback(self._claim.release)
                if not self._have:
                    self.discard()
        remove_empty(self._paths[0].parent)

    def _prefix(self) -> int:
        return self._have[0][1] if self._have and self._have[0][0] == 0 else 0

    def _is_new(self, start: int, end: int) -> bool:
        """Whether a block is inside the file and overlaps no other."""
        known = any(start < had[1] and had[0] < end for had in self._have)
        return start < end <= self._size and not known

    def _add(self, start: int, end: int) -> None:
        """Merge one interval into the sorted, disjoint ones."""
        merged: list[Interval] = []
        for had in self._have:
            if had[1] < start or end < had[0]:
                merged.append(had)
            else:
                start, end = min(start, had[0]), max(end, had[1])
        merged.append((start, end))
        self._have = sorted(merged)

    def _checksum(self, start: int, length: int) -> bytes:
        checksum, end = xxhash.xxh3_64(), start + length
        while start < end:
            chunk = os.pread(self._data, min(_READ, end - start), start)
            if not chunk:
                return b""
            checksum.update(chunk)
            start += len(chunk)
        return checksum.hexdigest().encode()


def remove_empty(folder: Path) -> None:
    """Remove an emptied folder and those above it, up to and with the hidden one they are in."""
    with suppress(OSError):  # not empty: another partial is there
        while True:
            disk.rmdir(folder)
            if folder.name.startswith("."):
                return
            folder = folder.parent


def _hold(journal: Path, note: Callable[[str], None]) -> tuple[int, claims.Held]:
    """The journal's descriptor, locked and claimed; waits for a process that holds it."""
    waiting = "another process is fetching this file; waiting for it"
    while True:
        held = claims.Held("", None)
        try:
            disk.make_folders(journal.parent)
            clear_file(journal, note)
            fd = disk.open_or_create(journal, os.O_APPEND)
        except FileNotFoundError:
            continue  # another process removed the empty folder in between
        try:
            if not locks.try_lock_open(fd, journal):
                note(waiting)
                locks.lock_open(fd, journal)
            with suppress(FileNotFoundError):
                held = claims.acquire(journal, lambda whom: note(f"{waiting} ({whom})"))
                if disk.status(journal).st_ino == os.fstat(fd).st_ino:
                    if os.fstat(fd).st_nlink == 1:
                        return fd, held
                    disk.unlink(journal)  # it is another storage's file, too: begin one of our own
        except BaseException:
            os.close(fd)
            held.release()
            raise
        held.release()
        os.close(fd)  # its holder finished and removed it: this is no longer the file's journal


def _require_same(fd: int, path: Path) -> None:
    """Raises OSError unless the file that was written is the one under its name."""
    there, mine = disk.status(path), os.fstat(fd)
    if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
        raise OSError(errno.EEXIST, "another file than the one that was written", str(path))


def _why_not(first: bytes, identity: Identity) -> str | None:
    """Why a journal's bytes are not `identity`'s, naming what changed."""
    try:
        old = json.loads(first)
        then = {field.name: old[field.name] for field in fields(identity)}
    except (ValueError, KeyError, TypeError, RecursionError):
        return "its journal cannot be read"
    for name, now in asdict(identity).items():
        if then[name] != now:
            return f"upstream's {name} changed from {then[name]} to {now}"
    return None


def _validator_of(line: bytes) -> str | None:
    """The ETag that a line of the journal holds; None where it holds nothing fit to be sent."""
    try:
        return plain_etag(json.loads(line))
    except (ValueError, RecursionError):
        return None


def _read_all(fd: int) -> bytes:
    """The journal's text; nothing of one that is too long to be a journal."""
    size = os.fstat(fd).st_size
    return os.pread(fd, size, 0) if size <= _LONGEST_JOURNAL else b""
