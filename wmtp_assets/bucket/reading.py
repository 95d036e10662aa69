"""Pieces of files, read from a bucket a few ahead; every one is hashed before it is handed on."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from wmtp_assets.bucket.edition import Edition, object_key
from wmtp_assets.bucket.place import Bucket

AT_ONCE = 4  # pieces on their way: 32 MiB


class Piece(NamedTuple):
    """One piece of one file: the file's SHA-256, the piece's number in it, SHA-256 and bytes."""

    file: str
    number: int
    sha256: str
    size: int

    @property
    def key(self) -> str:
        """Where it lies in the bucket."""
        return object_key(self.sha256)


class Arrived(NamedTuple):
    """A piece with its bytes; without them, where `wrong` says what was found instead."""

    piece: Piece
    data: bytes
    wrong: str = ""


class Wrong(NamedTuple):
    """What an object of a bucket should be, and what it is."""

    expected: str
    found: str


def pieces_of(edition: Edition, file: str, size: int, start: int = 0) -> list[Piece]:
    """The pieces of a file from number `start` on."""
    every = edition.sequence_of(file, size)
    return [Piece(file, number, *one) for number, one in enumerate(every) if number >= start]


def arriving(bucket: Bucket, wanted: Iterable[Piece]) -> Iterator[Arrived]:
    """The pieces in their order. At most five are in memory. Raises BucketError where the bucket
    cannot be read; a piece that is missing or damaged is handed on as such."""
    coming: deque[Future[Arrived]] = deque()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for piece in wanted:
                coming.append(pool.submit(_read, bucket, piece))
                if len(coming) == AT_ONCE:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for one in coming:
                one.cancel()


def _read(bucket: Bucket, piece: Piece) -> Arrived:
    data = bucket.get(piece.key, most=piece.size)
    if data is None:
        return Arrived(piece, b"", "nothing")
    if len(data) > piece.size:
        return Arrived(piece, b"", f"more than {piece.size} bytes")
    if (digest := hashlib.sha256(data).hexdigest()) != piece.sha256:
        return Arrived(piece, b"", f"SHA-256 {digest}, {len(data)} bytes")
    return Arrived(piece, data)
