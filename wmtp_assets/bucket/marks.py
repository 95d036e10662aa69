"""Who is at work in a bucket: `wmtp gc` must not remove what a push counts on, nor the other way,
and of those who publish each waits for its turn.

Each writes a mark of its own, and then looks for marks of others. So of two at least one sees the
other, and does not begin. A mark that was not renewed for a day, or in the way of a turn for a
minute, is a killed process's.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from wmtp_assets.bucket.place import Bucket, BucketError, Stat
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.receipts import host, now

FOLDER = "at-work"
FORGOTTEN = timedelta(days=1)
_RENEWED = 3600.0  # seconds
TURN = timedelta(minutes=1)
"""After which a turn is over: it takes one request with a few hundred bytes."""


class Mark:
    """One process's mark. `renew` keeps it fresh; it may be called as often as one likes."""

    def __init__(self, bucket: Bucket, kind: str) -> None:
        self._bucket = bucket
        self.key = f"{FOLDER}/{kind}-{secrets.token_hex(8)}.json"
        self._written = 0.0
        self.renew()

    def renew(self) -> None:
        """Writes the mark anew once an hour."""
        if not self._written or time.monotonic() - self._written > _RENEWED:
            self._bucket.put(self.key, json_bytes({"host": host(), "since": now()}))
            self._written = time.monotonic()


@contextmanager
def at_work(bucket: Bucket, kind: str, against: str) -> Iterator[Mark]:
    """Marks this process as doing `kind` for the block. Raises BucketError where another one is
    doing `against`."""
    mark = Mark(bucket, kind)
    try:
        for key, stat in _others(bucket, mark, against, FORGOTTEN).items():
            raise BucketError(
                f"`wmtp {against}` is at work in this bucket, and `wmtp {kind}` has not begun",
                found=f"its mark, of {stat.modified:%Y-%m-%d %H:%M} UTC",
                where=f"{bucket.url.rstrip('/')}/{key}",
                hint="run it again when that has ended. If it was killed, remove this object, or "
                "wait: a mark of yesterday counts no more.",
            )
        yield mark
    finally:
        bucket.remove([mark.key])


@contextmanager
def alone(bucket: Bucket, kind: str) -> Iterator[None]:
    """For the block, this process is the only one that is doing `kind` in this bucket; it waits for
    its turn, after one that was killed in its own for `TURN`.

    Whoever finds no other mark beside its own goes on, and whoever comes later finds that mark. Of
    those who find each other, the one whose mark sorts first waits, and the others withdraw.
    """
    while True:
        mark = Mark(bucket, kind)
        try:
            for _ in range(100):
                others = _others(bucket, mark, kind, TURN)
                if not others:
                    yield
                    return
                if min(others) < mark.key:
                    break
                time.sleep(0.01)
        finally:
            bucket.remove([mark.key])
        time.sleep(random.uniform(0.05, 0.2))  # noqa: S311 - no secret


def _others(bucket: Bucket, mark: Mark, kind: str, forgotten: timedelta) -> dict[str, Stat]:
    """Marks of `kind` but `mark` that were renewed less than `forgotten` before it was written."""
    marks = bucket.listing(FOLDER)
    # Both times are the bucket's: this machine's clock may be wrong.
    here = marks.pop(mark.key).modified
    return {
        key: stat
        for key, stat in marks.items()
        if key.startswith(f"{FOLDER}/{kind}-") and here - stat.modified < forgotten
    }
