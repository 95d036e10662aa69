"""Who is at work in a bucket: `wmtp gc` must not remove what a push counts on, nor the other way.

Each writes a mark of its own, and then looks for marks of the other kind. So of the two at least
one sees the other, and does not begin. A mark that was not renewed for a day is a killed process's.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from wmtp_assets.bucket.place import Bucket, BucketError
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.receipts import host, now

FOLDER = "at-work"
FORGOTTEN = timedelta(days=1)
_RENEWED = 3600.0  # seconds


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
        marks = bucket.listing(FOLDER)
        # Both times are the bucket's: this machine's clock may be wrong.
        here = marks[mark.key].modified
        others = [
            key
            for key, stat in marks.items()
            if key.startswith(f"{FOLDER}/{against}-") and here - stat.modified < FORGOTTEN
        ]
        if others:
            raise BucketError(
                f"`wmtp {against}` is at work in this bucket, and `wmtp {kind}` has not begun",
                found=f"its mark, of {marks[others[0]].modified:%Y-%m-%d %H:%M} UTC",
                where=f"{bucket.url.rstrip('/')}/{others[0]}",
                hint="run it again when that has ended. If it was killed, remove this object, or "
                "wait: a mark of yesterday counts no more.",
            )
        yield mark
    finally:
        bucket.remove([mark.key])
