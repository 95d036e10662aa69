"""The order of editions: heads, of which the one of the highest number is what readers see."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import time
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from wmtp_assets.bucket.access import BucketError
from wmtp_assets.bucket.edition import Edition, damaged
from wmtp_assets.bucket.marks import alone
from wmtp_assets.bucket.place import Bucket
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.digests import digest_of
from wmtp_assets.storage.receipts import UNREADABLE, host, now, typed

HEADS = "heads"
_HEAD = re.compile(rf"{HEADS}/([0-9]{{10}}|[1-9][0-9]{{10,}})\.json")
_EDITION = re.compile(r"[0-9a-f]{64}")
_LONGEST = 64 << 10  # bytes of a head
_TRIES, _PAUSE = 5, 0.2  # of writing a head; seconds between them


@dataclass(frozen=True)
class Head:
    """One publication of an edition: its number, the edition's name, when (UTC) and from where.
    `writer` is drawn by whoever publishes, and tells heads apart that are alike else."""

    number: int
    edition: str
    published_at: str
    host: str
    writer: str

    @property
    def key(self) -> str:
        """Where it lies."""
        return f"{HEADS}/{self.number:010}.json"

    def to_bytes(self) -> bytes:
        """The head as it is stored."""
        value: dict[str, Any] = {
            "number": self.number,
            "edition": self.edition,
            "published_at": self.published_at,
            "host": self.host,
            "writer": self.writer,
        }
        return json_bytes({**value, "seal": digest_of(value)})

    @classmethod
    def read(cls, bucket: Bucket, key: str) -> Head:
        """The head at `key`. Raises BucketError where it is damaged."""
        data = bucket.get(key, _LONGEST)
        try:
            value = json.loads(data or b"nothing")
            head = cls(
                typed(int, value["number"]),
                typed(str, value["edition"]),
                typed(str, value["published_at"]),
                typed(str, value["host"]),
                typed(str, value["writer"]),
            )
            if head.to_bytes() != data or head.key != key or not _EDITION.fullmatch(head.edition):
                raise ValueError("a text that its own seal does not fit")
        except UNREADABLE as error:
            raise damaged(bucket, key, error) from error
        return head

    @classmethod
    def latest(cls, bucket: Bucket) -> Head | None:
        """What readers see now; None in an empty bucket."""
        keys = head_keys(bucket)
        return cls.read(bucket, keys[0]) if keys else None

    @classmethod
    def publish(cls, bucket: Bucket, edition: str, after: int) -> Head | None:
        """Makes an edition, all of whose objects are there, the one that readers see; None where
        somebody else has published since the head of the number `after`."""
        head = cls(1 + after, edition, now(), host(), secrets.token_hex(8))
        # Some servers look whether an object is there before they write it, not while.
        with alone(bucket, "publishing"):
            for _ in range(_TRIES):
                if bucket.create(head.key, head.to_bytes()):
                    return head
                # A request whose answer was lost is sent again, and finds what it wrote itself.
                there = bucket.get(head.key, _LONGEST)
                if there is not None:
                    return head if there == head.to_bytes() else None
                time.sleep(_PAUSE)  # S3 also refuses where another request is on its way
        raise BucketError(
            "The bucket refuses a conditional write, so nothing was published",
            expected="that it accepts writes with If-None-Match",
            found=f"a refusal, {_TRIES} times, and no object",
            where=f"{bucket.url.rstrip('/')}/{head.key}",
            hint="run it again: what has arrived is not sent again. A store without "
            "conditional writes cannot be used.",
        )


def head_keys(bucket: Bucket) -> list[str]:
    """The keys of all heads, damaged or not, the last first. What else somebody put there is none
    of ours."""
    keys = filter(_HEAD.fullmatch, bucket.listing(HEADS))
    return sorted(keys, key=_number, reverse=True)


def _number(key: str) -> int:
    return int(PurePosixPath(key).stem)


def last_number(bucket: Bucket) -> int:
    """The number of the last head, damaged or not; 0 in an empty bucket."""
    return max(map(_number, head_keys(bucket)), default=0)


def current(bucket: Bucket) -> tuple[Head, Edition]:
    """What readers see now. Raises BucketError where nothing was pushed, or it is damaged."""
    while True:
        keys = head_keys(bucket)
        if not keys:
            raise BucketError(
                "Nothing was pushed to this bucket",
                expected="what `wmtp push` writes",
                found="no edition",
                where=bucket.url,
                hint=f"`wmtp push {shlex.quote(bucket.url)}` where the storage is, or another URL.",
            )
        try:
            head = Head.read(bucket, keys[0])
            return head, Edition.read(bucket, head.edition)
        except BucketError:
            # Since the listing, a push and a `gc` may have replaced and removed it.
            if head_keys(bucket)[:1] == keys[:1]:
                raise
