"""Reading files of an edition where they lie, by their paths in the storage: whole, piece by piece,
or by range. Every byte is compared with its digest before it is handed on.
"""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import NoReturn

import blake3

from wmtp_assets.bucket.access import BucketError
from wmtp_assets.bucket.blocks import BLOCK, DIGEST, list_size
from wmtp_assets.bucket.cache import Cache
from wmtp_assets.bucket.edition import PIECE, Edition, edition_key, object_key
from wmtp_assets.bucket.heads import current
from wmtp_assets.bucket.place import Bucket
from wmtp_assets.bucket.reading import arriving, pieces_of
from wmtp_assets.storage.receipts import FileRecord

AT_ONCE = 8  # ranges on their way, at most
IN_MEMORY = 32 << 20
"""Bytes of all ranges that are on their way or wait to be handed on, at most; or a longer one."""
GAP = 1 << 20
"""Bytes between two ranges that cost less to read than another request."""
SPAN = PIECE
"""Bytes of a range at most that is made of others: what is in memory is a few of them."""
_IN_PIECE = PIECE // BLOCK


class Reader:
    """The edition of a bucket that was current when this was made, or the one of the name
    `edition`. Raises BucketError where there is none."""

    def __init__(self, url: str, edition: str | None = None, cache: Cache | None = None) -> None:
        self.bucket = Bucket(url)
        if edition is None:
            head, self.edition = current(self.bucket)
            self.name = head.edition
        else:
            self.name = edition
            self._require_there()
            self.edition = Edition.read(self.bucket, edition)
        self.cache = cache or Cache()

    @cached_property
    def paths(self) -> dict[str, FileRecord]:
        """The files at the contract's paths."""
        return self.edition.paths()

    def pieces(self, sha256: str, size: int) -> Iterator[bytes]:
        """A file of the edition in its order, piece by piece. Raises BucketError at a piece that
        is not as it was pushed."""
        wanted = pieces_of(self.edition, sha256, size)
        for piece, data, wrong in arriving(self.bucket, wanted):
            if wrong:
                self.refuse(piece.key, f"SHA-256 {piece.sha256}", wrong)
            yield data

    def _require_there(self) -> None:
        """Raises BucketError where the edition is not in the bucket any more."""
        key = edition_key(self.name)
        if self.bucket.get_range(key, 0, 1) is None:
            raise BucketError(
                "The edition that was opened is no longer in the bucket",
                expected=key,
                found="nothing: `wmtp gc` has removed it",
                where=self.bucket.url,
                hint="open it again, which gives what the bucket has now. Let `wmtp gc` --keep as "
                "many editions as are read.",
            )

    def refuse(self, key: str, expected: str, found: str) -> NoReturn:
        """Raises the BucketError of an object that is not as it was pushed."""
        self._require_there()
        url = shlex.quote(self.bucket.url)
        raise BucketError(
            "An object of the bucket is not as it was pushed",
            expected=expected,
            found=found,
            where=f"{self.bucket.url.rstrip('/')}/{key}",
            hint=f"`wmtp push {url} --force` where the storage is writes every object anew.",
        )


class RemoteFile:
    """One file of an edition, read by range through the cache."""

    def __init__(self, reader: Reader, record: FileRecord) -> None:
        self.size = record.size
        self._reader, self._record = reader, record
        self._pieces = reader.edition.sequence_of(record.sha256, record.size)

    def read(self, begin: int, size: int) -> bytes:
        """The `size` bytes from `begin` on, or what there is of them.

        Raises BucketError where the bucket cannot be read, or is damaged there.
        """
        end = min(begin + size, self.size)
        if end <= begin:
            return b""
        if len(self._pieces) == 1:
            return self._short[begin:end]
        first, last = begin // BLOCK, -(-end // BLOCK)
        parts = list(self._blocks(first, last))
        # Cut before they are joined: what is joined is copied once.
        surplus = min(last * BLOCK, self.size) - end
        parts[-1] = parts[-1][: len(parts[-1]) - surplus]
        parts[0] = parts[0][begin - first * BLOCK :]
        return b"".join(parts)

    def reader(self) -> Callable[[int, int], bytes]:
        """`read`."""
        return self.read

    def read_all(self, wanted: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        """The bytes `begin`..`end` for each of `wanted`, in its order; up to `AT_ONCE` of them, and
        `IN_MEMORY` bytes, on their way at once. Raises BucketError as `read` does."""
        _ = self._short if len(self._pieces) == 1 else self._digests  # once, not by each thread
        coming: deque[tuple[Future[bytes], int]] = deque()
        held = 0
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for begin, end in wanted:
                    while coming and (len(coming) == AT_ONCE or held + end - begin > IN_MEMORY):
                        size = coming[0][1]
                        yield coming.popleft()[0].result()
                        held -= size
                    coming.append((pool.submit(self.read, begin, end - begin), end - begin))
                    held += end - begin
                while coming:
                    yield coming.popleft()[0].result()
            finally:
                for one, _ in coming:
                    one.cancel()

    def _blocks(self, first: int, last: int) -> Iterator[bytes | memoryview]:
        """The bytes of the blocks `first`..`last`, a block or several at a time; those that the
        cache lacks by one request for neighbours."""
        at = first
        while at < last:
            known = self._reader.cache.block(self._digest(at))
            if known is not None:
                yield known
                at += 1
                continue
            until = at + 1
            stop = min(last, _IN_PIECE * (1 + at // _IN_PIECE))
            held: bytes | None = None
            while until < stop:
                held = self._reader.cache.block(self._digest(until))
                if held is not None:
                    break
                until += 1
            yield self._fetched(at, until)
            if held is not None:
                yield held
                until += 1
            at = until

    def _fetched(self, first: int, last: int) -> memoryview:
        """Neighbouring blocks of one piece, from the bucket: each compared, and kept."""
        number = first // _IN_PIECE
        piece, size = self._pieces[number]
        begin = BLOCK * (first - number * _IN_PIECE)
        length = min(size, BLOCK * (last - number * _IN_PIECE)) - begin
        data = self._reader.bucket.get_range(object_key(piece), begin, length)
        view = memoryview(b"") if data is None else data
        for block in range(first, last):
            some = view[BLOCK * (block - first) : BLOCK * (block - first + 1)]
            digest = self._digest(block)
            found = blake3.blake3(some).digest()
            if found != digest:
                self._reader.refuse(
                    object_key(piece),
                    f"BLAKE3 {digest.hex()} of the bytes from {begin + BLOCK * (block - first)} on",
                    "nothing" if data is None else f"BLAKE3 {found.hex()}, {len(some)} bytes",
                )
            self._reader.cache.keep_block(digest, some)
        return view[:length]

    def _digest(self, block: int) -> bytes:
        return self._digests[DIGEST * block : DIGEST * (block + 1)]

    @cached_property
    def _digests(self) -> bytes:
        sha256 = self._reader.edition.blocks[self._record.sha256]
        return self._whole(sha256, list_size(self.size))

    @cached_property
    def _short(self) -> bytes:
        return self._whole(self._record.sha256, self.size)

    def _whole(self, sha256: str, size: int) -> bytes:
        reader = self._reader
        return reader.cache.whole(sha256, size, lambda: reader.pieces(sha256, size))
