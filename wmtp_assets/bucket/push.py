"""`wmtp push`: what a storage holds, into a bucket, as its next edition.

Every file is read once. A piece is sent under the digest of the bytes that are sent, so that an
object is what its key says whatever the disk returned; and a file whose digest is not what its
receipt says keeps the edition from being published.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, NoReturn

from wmtp_assets.bucket.access import BucketError
from wmtp_assets.bucket.blocks import digests_of, list_size
from wmtp_assets.bucket.edition import (
    OBJECTS,
    PIECE,
    Edition,
    edition_key,
    object_key,
)
from wmtp_assets.bucket.heads import Head, last_number
from wmtp_assets.bucket.marks import Mark, at_work
from wmtp_assets.bucket.place import Bucket
from wmtp_assets.bucket.plain import Plain
from wmtp_assets.bucket.plain import write as write_plain
from wmtp_assets.progress import following
from wmtp_assets.storage import page_cache
from wmtp_assets.storage.errors import storage_errors
from wmtp_assets.storage.receipts import Mismatch

AT_ONCE = 4  # pieces on their way: 32 MiB


@dataclass
class Pushed:
    """What a push did. `head` is None where files are `wrong` (by their paths on the disk): then
    nothing was published. `objects` and `bytes` are what was sent, `there` the bytes that were
    there already. `plain` is what was done to plain keys, where that was asked for."""

    edition: Edition
    head: Head | None = None
    unchanged: bool = False
    objects: int = 0
    bytes: int = 0
    there: int = 0
    wrong: dict[str, Mismatch] = field(default_factory=dict)
    plain: Plain | None = None


def push(
    bucket: Bucket,
    edition: Edition,
    sources: Mapping[str, Path],
    *,
    force: bool = False,
    drop: bool = False,
    plain: bool = False,
) -> Pushed:
    """Publishes an edition (whose `pieces` need not be known) of files at `sources`, by SHA-256.

    Objects that are there are not sent again, but with `force`. Sets of the bucket's edition that
    this one lacks are left out of it only with `drop`. With `plain`, the contract's paths become
    keys, too (see `bucket.plain`). The caller keeps the sources as they are.

    Raises BucketError where the bucket refuses, where sets would be dropped, where `gc` is at work,
    or where another push was published meanwhile; StorageError where a file cannot be read.
    """
    with at_work(bucket, "push", against=["gc"]) as mark:
        before = last_number(bucket)
        base, head = _base(bucket, force)
        if base is not None and not drop:
            _require_no_loss(bucket, base, edition)
        done = _Push(bucket, edition, sources, force, mark, base, head).run(before)
    if plain and done.head is not None:
        done.plain = write_plain(bucket, done.edition, sources, force=force)
    return done


def _base(bucket: Bucket, force: bool) -> tuple[Edition | None, Head | None]:
    """The edition that is there; with `force` a damaged one counts as none."""
    try:
        head = Head.latest(bucket)
        return (Edition.read(bucket, head.edition) if head else None), head
    except BucketError:
        if force:
            return None, None
        raise


def _require_no_loss(bucket: Bucket, base: Edition, edition: Edition) -> None:
    lost = sorted(set(base.publications) - set(edition.publications))
    if lost:
        raise BucketError(
            "The bucket's edition has sets that this push does not have",
            expected="every one of them, or --drop",
            found=f"without {', '.join(lost[:3])}"
            + (f" and {len(lost) - 3} more" if lost[3:] else ""),
            where=bucket.url,
            hint="push without a selection; or to a URL of its own; or with --drop, after which "
            "readers do not find them (`wmtp rollback URL` goes back).",
        )


class _Piece(NamedTuple):
    """What is known of a piece when it was sent: its SHA-256, and the digests of its blocks."""

    sha256: str
    blocks: bytes


class _Push:
    """One call of `push`, under its mark."""

    def __init__(
        self,
        bucket: Bucket,
        edition: Edition,
        sources: Mapping[str, Path],
        force: bool,
        mark: Mark,
        base: Edition | None,
        head: Head | None,
    ) -> None:
        self.bucket, self.sources, self.mark = bucket, sources, mark
        self.base, self.head = base, head
        self.done = Pushed(edition)
        self.sizes = edition.contents()
        self.there = {} if force else {k: s.size for k, s in bucket.listing(OBJECTS).items()}
        self.lock = threading.Lock()
        self.slots = threading.BoundedSemaphore(AT_ONCE)
        self.pending: list[Future[_Piece]] = []
        # Of files of several pieces.
        self.sent: dict[str, list[Future[_Piece]]] = {}
        self.pieces: dict[str, tuple[str, ...]] = {}
        self.blocks: dict[str, str] = {}

    def run(self, before: int) -> Pushed:
        count = 0
        with (
            ThreadPoolExecutor(AT_ONCE) as pool,
            following("pushing", sum(self.sizes.values()), None) as at,
        ):

            def read(more: int) -> None:
                nonlocal count
                count += more
                at(count)

            try:
                for sha256, size in sorted(self.sizes.items(), key=lambda one: -one[1]):
                    if self._is_known(sha256, size):
                        self.done.there += size
                        read(size)
                    else:
                        self._file(pool, sha256, size, read)
                for sha256, sent in self.sent.items():
                    self._list(pool, sha256, [one.result() for one in sent])
                for each in self.pending:
                    each.result()
            except BaseException:
                for each in self.pending:
                    each.cancel()
                raise
        done = self.done
        if done.wrong:
            return done
        done.edition = replace(done.edition, pieces=self.pieces, blocks=self.blocks)
        if self.head is not None and self.head.edition == done.edition.digest:
            done.head, done.unchanged = self.head, True
            return done
        done.edition.require_readable()
        self.bucket.put(edition_key(done.edition.digest), done.edition.to_bytes())
        self.mark.require()  # so all that was there or sent is there
        done.head = Head.publish(self.bucket, done.edition.digest, before)
        if done.head is None:
            _overtaken(self.bucket)
        return done

    def _file(
        self, pool: ThreadPoolExecutor, sha256: str, size: int, read: Callable[[int], None]
    ) -> None:
        """Reads a file, and sends what is not there of it."""
        path = self.sources[sha256]
        whole, sent = hashlib.sha256(), list[Future[_Piece]]()
        with storage_errors(f"Reading {path.name}", path):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            page_cache.read_in_order(descriptor)
            position = 0
            while position < size or not sent:
                with storage_errors(f"Reading {path.name}", path):
                    data = _exactly(descriptor, min(PIECE, size - position), position)
                if position:
                    page_cache.forget(descriptor, position - PIECE, PIECE)
                # Its digest is what takes time; the other cores work out those of pieces.
                whole.update(data)
                position += len(data)
                last = position >= size or len(data) < PIECE
                if last and whole.hexdigest() != sha256:
                    self._wrong(path, sha256, whole.hexdigest())
                    return
                sent.append(self._send(pool, data, sha256 if size <= PIECE else ""))
                read(len(data))
        finally:
            os.close(descriptor)
        if size > PIECE:
            self.sent[sha256] = sent

    def _list(self, pool: ThreadPoolExecutor, sha256: str, sent: list[_Piece]) -> None:
        """Sends the list of the blocks of a file of these pieces."""
        blocks = b"".join(one.blocks for one in sent)
        self.pieces[sha256] = tuple(one.sha256 for one in sent)
        self.blocks[sha256] = hashlib.sha256(blocks).hexdigest()
        self._send(pool, blocks, self.blocks[sha256])

    def _is_known(self, sha256: str, size: int) -> bool:
        """Whether all of a file is there, piece by piece. Then it is not read."""
        base = self.base or self.done.edition
        if size > PIECE and sha256 not in base.pieces:
            return False
        needed = dict(base.sequence_of(sha256, size))
        if size > PIECE:
            needed[base.blocks[sha256]] = list_size(size)
        with self.lock:
            if any(self.there.get(object_key(one)) != length for one, length in needed.items()):
                return False
        if size > PIECE:
            self.pieces[sha256] = base.pieces[sha256]
            self.blocks[sha256] = base.blocks[sha256]
            self.done.there += list_size(size)
        return True

    def _send(self, pool: ThreadPoolExecutor, data: bytes, sha256: str) -> Future[_Piece]:
        """Sends an object, whose SHA-256 is worked out where it is not given."""
        self.slots.acquire()
        self.mark.renew()
        failed = [one for one in self.pending if one.done() and one.exception()]
        self.pending = failed + [one for one in self.pending if not one.done()]
        if failed:
            self.slots.release()
            failed[0].result()
        sending = pool.submit(self._put, data, sha256)
        self.pending.append(sending)
        return sending

    def _put(self, data: bytes, sha256: str) -> _Piece:
        try:
            piece = (
                _Piece(sha256, b"")
                if sha256
                else _Piece(hashlib.sha256(data).hexdigest(), digests_of(data))
            )
            key = object_key(piece.sha256)
            with self.lock:
                there = self.there.get(key) == len(data)
                self.there[key] = len(data)
                self.done.there += len(data) if there else 0
            if not there:
                self.bucket.put(key, data)
                with self.lock:
                    self.done.objects += 1
                    self.done.bytes += len(data)
            return piece
        finally:
            self.slots.release()

    def _wrong(self, path: Path, sha256: str, found: str) -> None:
        self.done.wrong[str(path)] = Mismatch(path, f"SHA-256 {sha256}", f"SHA-256 {found}")


def _exactly(descriptor: int, size: int, position: int) -> bytes:
    """That many bytes, or what there is of them."""
    data = os.pread(descriptor, size, position)
    while len(data) < size and (
        more := os.pread(descriptor, size - len(data), position + len(data))
    ):
        data += more
    return data


def _overtaken(bucket: Bucket) -> NoReturn:
    raise BucketError(
        "Another push to this bucket was published meanwhile, and this one was not",
        where=bucket.url,
        hint=f"`wmtp history {shlex.quote(bucket.url)}` shows it; run this again to publish "
        "after it: what has arrived is not sent again.",
    )
