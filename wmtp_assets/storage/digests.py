"""SHA-256 of files and of values, and the `SHA256SUMS` that stock `sha256sum -c` verifies."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from wmtp_assets.storage import page_cache
from wmtp_assets.storage.atomic import write_bytes
from wmtp_assets.storage.errors import StorageError, storage_errors

_BLOCK = 256 << 10  # fits the processor's cache: the hash reads what the copy just wrote
_BEHIND = 8 << 20  # pages forgotten this soon are used again for what is read next, still warm:
# on a cold file this halves the processor time, against filling fresh memory
_LARGE = 64 << 20  # a smaller file may stay in the page cache


_watching = threading.local()


@contextmanager
def watched(read: Callable[[int], None]) -> Iterator[None]:
    """In the block, `read` is called with the numbers of bytes that digests of this thread have
    read since, every 8 MiB and at a file's end; by `sha256_files` from several threads."""
    before = getattr(_watching, "read", None)
    _watching.read = read
    try:
        yield
    finally:
        _watching.read = before


def sha256_file(path: Path, keep: bool = False) -> str:
    """SHA-256 of a file's bytes, in hex. Memory: 256 KiB. Raises `StorageError`.

    The kernel reads ahead while this hashes, and is asked to drop the pages of a large file
    behind it: verifying 27 GB must not push out of memory what others are reading. With `keep` the
    next reader finds the file in memory (the page cache) where it fits.
    """
    with storage_errors(f"Reading {path.name}", path):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return _sha256(descriptor, keep)
        finally:
            os.close(descriptor)


def sha256_files(
    paths: Iterable[Path], workers: int | None = None, keep: bool = False
) -> dict[Path, str]:
    """`sha256_file` of many, `workers` at a time (default: a file per core), largest first."""
    unique = list(dict.fromkeys(paths))
    with storage_errors("Reading files", "storage"):
        largest_first = sorted(unique, key=lambda path: path.stat().st_size, reverse=True)
    with ThreadPoolExecutor(
        workers or cores(), initializer=_watch_as, initargs=(_watch(),)
    ) as pool:
        digests = pool.map(lambda path: sha256_file(path, keep), largest_first)
        found = dict(zip(largest_first, digests, strict=True))
    return {path: found[path] for path in unique}


def _watch() -> Callable[[int], None] | None:
    read: Callable[[int], None] | None = getattr(_watching, "read", None)
    return read


def _watch_as(read: Callable[[int], None] | None) -> None:
    _watching.read = read


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def digest_of(value: object) -> str:
    """SHA-256, in hex, of `value` as canonical JSON: sorted keys, no spaces, ASCII, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def write_sha256sums(path: Path, sums: Mapping[str, str]) -> None:
    """Writes {file name relative to `path`'s folder: digest} as `sha256sum -c` reads it.

    Sorted by name. A backslash, newline or carriage return in a name is escaped as coreutils does
    it; a name that is not UTF-8 (Python's surrogate escapes) is written as its bytes.
    """
    lines = []
    for name, digest in sorted(sums.items()):
        if not name or "\0" in name or not _DIGEST.fullmatch(digest):
            raise StorageError(
                "This cannot be a line of SHA256SUMS",
                expected="a file's name and 64 lower-case hex digits",
                found=f"{name!r}, {digest!r}",
                where=path,
            )
        escaped = "".join(_ESCAPES.get(char, char) for char in name)
        lines.append(f"{chr(92) if escaped != name else ''}{digest}  {escaped}\n")
    write_bytes(path, os.fsencode("".join(lines)))


def read_sha256sums(path: Path) -> dict[str, str]:
    """{name: digest} of a SHA256SUMS file, by coreutils' rules; `StorageError` names a bad line."""
    with storage_errors(f"Reading {path.name}", path):
        text = os.fsdecode(path.read_bytes())
    sums: dict[str, str] = {}
    lines = text.split("\n")
    if lines.pop():
        lines.append("")  # no newline at the end: the last line may have been cut off
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        name = _unescaped(match["name"]) if match and match["escaped"] else match and match["name"]
        if match is None or name is None or name in sums:
            raise StorageError(
                "A line of SHA256SUMS cannot be read",
                expected="64 lower-case hex digits, two spaces, a name that occurs once, a newline",
                found=repr(line),
                where=f"{path}, line {number}",
            )
        sums[name] = match["digest"]
    return sums


_DIGEST = re.compile(r"[0-9a-f]{64}")
_LINE = re.compile(r"(?P<escaped>\\?)(?P<digest>[0-9a-f]{64}) [ *](?P<name>.+)", re.DOTALL)
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escaped: char for char, escaped in _ESCAPES.items()}


def _unescaped(name: str) -> str | None:
    pieces = re.findall(r"\\.|[^\\]|\\", name, re.DOTALL)
    if any(piece[0] == "\\" and piece not in _UNESCAPES for piece in pieces):
        return None
    return "".join(_UNESCAPES.get(piece, piece) for piece in pieces)


def _sha256(descriptor: int, keep: bool) -> str:
    digest = hashlib.sha256()
    size = os.fstat(descriptor).st_size
    forgetful = size >= _LARGE and not (keep and page_cache.fits(size))
    if forgetful:
        page_cache.read_in_order(descriptor)
    buffer = memoryview(bytearray(min(_BLOCK, size + 1)))
    read = _watch()
    position = forgotten = reported = 0
    while count := os.readv(descriptor, [buffer]):
        digest.update(buffer[:count])
        position += count
        if read is not None and (position - reported >= _BEHIND or position >= size):
            read(position - reported)
            reported = position
        if forgetful and (position - forgotten >= _BEHIND or position >= size):
            page_cache.forget(descriptor, forgotten, position - forgotten)
            forgotten = position
    return digest.hexdigest()
