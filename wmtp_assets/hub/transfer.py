"""One file's bytes, from a source into a `Partial`, hashed on the way.

Workers, one per connection, take pieces of what is missing and write them where they belong; the
calling thread hashes the unbroken prefix behind them, out of the page cache, so that the digest is
of what is on the disk and is ready when the last byte is. More connections are opened only when
the first answer showed that the source supports ranges, and the first connection that it is slow
enough to gain from them: on a fast line they only cost the processor more.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from wmtp_assets.hub.files import RemoteFile, RepoId, is_commit
from wmtp_assets.hub.partial import Identity, Partial
from wmtp_assets.hub.refusals import AnotherCommitError, HubError, RangeRefusedError
from wmtp_assets.hub.retry import Retries, RetryableError, stalled, with_retries
from wmtp_assets.hub.source import Body, Hub, Place

_PIECE = 32 << 20  # bytes per request: long enough to hide the round trip of making it
_PARALLEL_FROM = 64 << 20  # bytes that must be missing before more connections pay
_SMALLEST_BLOCK, _LARGEST_BLOCK = 16 << 10, 1 << 20
_HASH_READ = 1 << 20
_FAST = 200e6  # bytes per second; beside a connection this fast, others gain nothing
_JUDGE_AFTER = 0.5  # seconds that the first connection has to show how fast it is
_SETTLE_EVERY = 32 << 20  # bytes hashed between two nudges to the disk
_LONGEST_UNWRITTEN = 1.0  # seconds; what a slow line may lose when the process is killed
_SLOWEST = 1000  # bytes per second; less is no progress but a stall that trickles
_RESTARTS = 3  # how often a file may have to be begun anew before we give up


class WrongBytesError(HubError):
    """The source sends another number of bytes than the file has."""


class ChangingUpstreamError(HubError):
    """The file is another one each time that it is asked for, or cannot be had in one go."""


class _StartOver(Exception):  # noqa: N818 - a signal between threads, not an error
    """What is there cannot be continued; the argument says why."""


@dataclass(frozen=True)
class Job:
    """What to transfer. `size` in bytes; `digest` is the SHA-256 or git blob id they must have."""

    repo: RepoId
    commit: str
    file: RemoteFile
    size: int
    digest: str | None


@dataclass(frozen=True)
class Arrived:
    """A whole file in its partial: its digests (hex), and how it came (bytes, times)."""

    sha256: str
    git_blob: str
    resumed_from: int
    received: int
    retries: int


@dataclass
class _Piece:
    """What one worker has to bring: `start` moves towards `end` as bytes are written."""

    start: int
    end: int


class Transfer:
    """Use `run` once."""

    def __init__(
        self,
        hub: Hub,
        job: Job,
        partial: Partial,
        note: Callable[[str], None],
        progress: Callable[[int], None],
    ) -> None:
        self._hub = hub
        self._job = job
        self._partial = partial
        self._note = note
        self._progress = progress
        self._size = job.size
        self._block = min(_LARGEST_BLOCK, max(_SMALLEST_BLOCK, self._size >> 10))
        self._ranges: bool | None = None  # whether the source supports them; None: not yet seen
        self._heeds_etags = True
        self._pieces: deque[tuple[int, int]] = deque()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._guard = threading.Lock()
        self._received = 0
        self._kept_before = 0
        self._retries = 0

    def run(self) -> Arrived:
        """Bring the partial to the file's size. Raises HubError, GaveUpError, OSError."""
        place = self._locate()
        dropped = self._partial.begin(self._identity(place))
        if dropped is not None:
            self._note(f"what had arrived is dropped: {dropped}")
        resumed_from = self._partial.kept
        if resumed_from:
            self._note(f"continues from {resumed_from:,} of {self._size:,} bytes")
        why = ""
        for _ in range(_RESTARTS):
            try:
                sha256, git_blob = self._round(place)
            except _StartOver as signal:
                why = str(signal)
                self._note(f"what had arrived is dropped: {why}")
                resumed_from = 0
                before, place = place, self._locate()
                # A storage host whose ETags differ from answer to answer, for a file that the Hub
                # still calls the same: its SHA-256 has to do, or it could never be fetched.
                if before.etag == place.etag and self._job.file.sha256 is not None:
                    self._heeds_etags = False
                self._partial.reset(self._identity(place))
            else:
                return Arrived(sha256, git_blob, resumed_from, self._received, self._retries)
        raise ChangingUpstreamError(
            f"This file had to be started again from its first byte {_RESTARTS} times",
            expected="one file from the first byte to the last",
            found=why,
            where=self._where,
            hint="run it again later, or over a more stable connection.",
        )

    def _locate(self) -> Place:
        """Where the bytes are now, after checking that it is the file we mean."""
        retries = Retries(self._hub.policy, self._note)
        job = self._job
        place = with_retries(lambda: self._hub.locate(job.repo, job.commit, job.file.path), retries)
        with self._guard:
            self._retries += retries.count
        if is_commit(job.commit) and place.commit != job.commit:
            raise AnotherCommitError(
                "Upstream serves another commit than was asked for",
                expected=job.commit,
                found=place.commit,
                where=self._where,
                hint="run it again; if it goes on, a cache between here and the Hub is stale.",
            )
        if place.size not in (None, self._size):
            raise HubError(
                "Upstream lists this file with one size and announces another",
                expected=f"{self._size:,} bytes",
                found=f"{place.size:,} bytes",
                where=self._where,
                hint="run it again; if it goes on, a cache between here and the Hub is stale.",
            )
        return place

    def _identity(self, place: Place) -> Identity:
        return Identity(self._job.commit, place.etag, self._size, self._job.digest)

    def _round(self, place: Place) -> tuple[str, str]:
        """Fetch all that is missing and hash all; one try of it, with its own workers."""
        self._pieces = deque(
            (start, min(start + _PIECE, end))
            for first, end in self._partial.missing()
            for start in range(first, end, _PIECE)
        )
        self._stop, self._failure = threading.Event(), None
        sha256 = hashlib.sha256()
        sha1 = hashlib.sha1(b"blob %d\0" % self._size, usedforsecurity=False)
        buffer = memoryview(bytearray(_HASH_READ))
        hashed = settled = 0
        began, self._kept_before = time.monotonic(), self._partial.kept
        workers = [self._start(place)] if self._pieces else []
        many = sum(end - start for start, end in self._pieces) >= _PARALLEL_FROM
        try:
            while True:
                alive = any(worker.is_alive() for worker in workers)
                prefix = self._partial.wait_beyond(hashed, 0.2 if alive else 0.0)
                while hashed < prefix and self._failure is None:
                    got = self._partial.read_into(buffer[: prefix - hashed], hashed)
                    if not got:
                        raise self._wrong(f"{hashed:,} bytes where {prefix:,} were written")
                    sha256.update(buffer[:got])
                    if self._job.file.sha256 is None:
                        sha1.update(buffer[:got])
                    hashed += got
                    if hashed - settled >= _SETTLE_EVERY:
                        self._partial.settle(settled, hashed)
                        settled = hashed
                self._progress(self._partial.kept)
                if many and self._ranges and self._is_slow(began):
                    more = min(self._hub.connections - 1, len(self._pieces))
                    workers += [self._start(place) for _ in range(more)]
                    many = False
                if not alive:
                    break
        finally:
            self._stop.set()
            for worker in workers:
                worker.join()
        if self._failure is not None:
            raise self._failure
        return sha256.hexdigest(), sha1.hexdigest()

    def _is_slow(self, began: float) -> bool:
        """Whether the first connection, begun then, has shown that others would help it."""
        seconds = time.monotonic() - began
        arrived = self._partial.kept - self._kept_before
        return seconds >= _JUDGE_AFTER and arrived < _FAST * seconds

    def _start(self, place: Place) -> threading.Thread:
        worker = threading.Thread(target=self._work, args=(place,), daemon=True)
        worker.start()
        return worker

    def _work(self, place: Place) -> None:
        """A worker's life: take a piece, bring it home, take the next."""
        retries = Retries(self._hub.policy, self._note)
        try:
            while (piece := self._next()) is not None:
                while piece.start < piece.end and not self._stop.is_set():
                    begun_at, began = piece.start, time.monotonic()
                    try:
                        self._pull(place, piece)
                    except RetryableError as trouble:
                        seconds = max(1.0, time.monotonic() - began)
                        if piece.start - begun_at >= _SLOWEST * seconds:
                            retries.progress()
                        retries.wait_after(trouble, self._sleep)
                        place = self._locate()  # a signed address may have expired meanwhile
        except BaseException as error:  # handed to the thread that waits, which raises it
            with self._guard:
                self._failure = self._failure or error
            self._stop.set()
        finally:
            with self._guard:
                self._retries += retries.count
            self._partial.wake()

    def _next(self) -> _Piece | None:
        with self._guard:
            if self._stop.is_set() or not self._pieces:
                return None
            return _Piece(*self._pieces.popleft())

    def _pull(self, place: Place, piece: _Piece) -> None:
        """Bring a piece as far as one request goes; `piece.start` is then where it ended."""
        untouched = piece.start == 0 and not self._partial.kept and self._ranges is not True
        plain = untouched and (self._ranges is False or self._size < _PARALLEL_FROM)
        stop = None if plain else piece.end
        try:
            with place.open(piece.start, stop, self._validator) as body:
                self._agree(body, piece, plain=plain, untouched=untouched)
                self._store(body, piece)
        except RangeRefusedError:
            if plain:
                raise self._wrong("HTTP 416, even from the first byte") from None
            self._ranges = False
            raise _StartOver("the server refuses to continue it (HTTP 416)") from None

    def _agree(self, body: Body, piece: _Piece, *, plain: bool, untouched: bool) -> None:
        """Check that an answer continues what is there, and learn from it."""
        validator = self._validator
        if body.etag is not None and validator is not None and body.etag != validator:
            raise _StartOver(f"upstream's ETag changed from {validator} to {body.etag}")
        if body.total not in (None, self._size):
            raise self._wrong(f"{body.total:,} bytes")
        if body.ranged and body.start != piece.start:
            raise self._wrong(f"a range from byte {body.start:,}, asked from {piece.start:,}")
        with self._guard:
            if not plain:
                self._ranges = body.ranged
            if not body.ranged and not untouched:
                raise _StartOver("the server ignores ranges and begins at the first byte")
            if plain or not body.ranged:  # the whole file comes in this one answer
                self._pieces.clear()
                piece.end = self._size
            if body.etag is not None and self._partial.validator is None:
                self._partial.remember_validator(body.etag)

    def _store(self, body: Body, piece: _Piece) -> None:
        """Write an answer's bytes, a block at a time, and what arrived before any trouble."""
        block, filled, received = memoryview(bytearray(self._block)), 0, 0
        written = window = time.monotonic()
        in_window = 0

        def flush(view: memoryview) -> None:
            self._partial.write(piece.start, view)
            piece.start += len(view)

        try:
            for chunk in body.chunks():
                rest = memoryview(chunk)
                received += len(rest)
                in_window += len(rest)
                if len(rest) > piece.end - piece.start - filled:
                    raise self._wrong("more than that")
                while rest:
                    if not filled and len(rest) >= len(block):
                        flush(rest)
                        break
                    count = min(len(rest), len(block) - filled)
                    block[filled : filled + count] = rest[:count]
                    filled, rest = filled + count, rest[count:]
                    if filled == len(block):
                        flush(block)
                        filled = 0
                now = time.monotonic()
                if filled and now - written > _LONGEST_UNWRITTEN:
                    flush(block[:filled])
                    filled = 0
                if not filled:
                    written = now
                if now - window > self._hub.policy.stall:
                    if in_window < _SLOWEST * (now - window):
                        raise stalled(f"{in_window} bytes in {now - window:.0f} s", self._where)
                    window, in_window = now, 0
                if self._stop.is_set():
                    return
        finally:
            with self._guard:
                self._received += received
            if filled:
                flush(block[:filled])
        if piece.start < piece.end:
            raise RetryableError(
                "The answer ended before the file did",
                expected=f"{piece.end:,} bytes",
                found=f"{piece.start:,} bytes",
                where=self._where,
            )

    @property
    def _validator(self) -> str | None:
        return self._partial.validator if self._heeds_etags else None

    def _sleep(self, seconds: float) -> None:
        self._stop.wait(seconds)

    @property
    def _where(self) -> str:
        return f"{self._job.file.path} of {self._job.repo}"

    def _wrong(self, found: str) -> WrongBytesError:
        return WrongBytesError(
            "The server does not send the file that it lists",
            expected=f"{self._size:,} bytes",
            found=found,
            where=self._where,
            hint="run it again later; if it goes on, a cache between here and the Hub is stale.",
        )
