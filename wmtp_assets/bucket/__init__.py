"""Storages in a bucket: `wmtp push` and `wmtp pull`, and what verifies and keeps them there.

    objects/<SHA-256>          pieces of files, each under the digest of its bytes
    editions/<SHA-256>.json    which files a storage has, with their digests: never changed
    heads/<number>.json        the editions in the order in which they were published
    at-work/                   who pushes or removes just now

The head of the highest number is what readers see. A head is created only if nobody else has
created one of its number, so of two writers one publishes, and the other is told. Everything that a
head leads to is there before it.

Here: what is in a bucket, and moving it. Not here: which files a catalog publishes (`artifacts/`).
"""

from wmtp_assets.bucket.access import BucketError, bucket_url, is_url, require_path
from wmtp_assets.bucket.edition import Edition
from wmtp_assets.bucket.heads import Head
from wmtp_assets.bucket.marks import remove_mark
from wmtp_assets.bucket.place import Bucket
from wmtp_assets.bucket.pull import Pulled, pull
from wmtp_assets.bucket.push import Pushed, push
from wmtp_assets.bucket.upkeep import Removed, Verified, gc, history, rollback, verify

__all__ = [
    "Bucket",
    "BucketError",
    "Edition",
    "Head",
    "Pulled",
    "Pushed",
    "Removed",
    "Verified",
    "bucket_url",
    "gc",
    "history",
    "is_url",
    "pull",
    "push",
    "remove_mark",
    "require_path",
    "rollback",
    "verify",
]
