"""The contract's paths as plain keys, for machines that sync a bucket by prefix.

    plain/<contract's path>    the files, whole
    plain/SHA256SUMS           their digests; written last, and removed while others change
    plain.json                 which file is at which of these keys

A file is read and hashed as it is sent. Keys are written one after another: who syncs meanwhile
gets a mixture, without sums that fit. An edition is what is read as one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.bucket.access import BucketError
from wmtp_assets.bucket.edition import PIECE, Edition
from wmtp_assets.bucket.marks import at_work
from wmtp_assets.bucket.place import Bucket
from wmtp_assets.bucket.reading import Wrong
from wmtp_assets.progress import following
from wmtp_assets.storage import page_cache
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.errors import storage_errors
from wmtp_assets.storage.receipts import UNREADABLE, FileRecord, typed

FOLDER, SUMS, RECORD = "plain", "plain/SHA256SUMS", "plain.json"
_LONGEST = 64 << 20  # bytes of the record
_RECORDED = 64 << 20
"""Bytes that are sent before the record says so: a killed push sends those again, and the file that
was on its way."""


@dataclass
class Plain:
    """What was done to the plain keys: files and bytes sent, bytes that were there, keys removed
    that no file has any more."""

    files: int = 0
    bytes: int = 0
    there: int = 0
    removed: int = 0


def write(
    bucket: Bucket, edition: Edition, sources: Mapping[str, Path], *, force: bool = False
) -> Plain:
    """Makes the plain keys those of this edition; `sources` are its files by SHA-256.

    What is there is not sent again, but with `force`. Raises BucketError where the bucket refuses,
    where another push writes them or `gc` is at work, and at a file that is not what its receipt
    says; StorageError where one cannot be read.
    """
    wanted = edition.paths()
    with at_work(bucket, FOLDER, against=[FOLDER, "gc"]) as mark:
        stats = bucket.listing(FOLDER)
        known = {
            path: record
            for path, record in ({} if force else _recorded(bucket) or {}).items()
            if f"{FOLDER}/{path}" in stats and stats[f"{FOLDER}/{path}"].size == record.size
        }
        new = [path for path, record in wanted.items() if known.get(path) != record]
        strange = stats.keys() - {f"{FOLDER}/{path}" for path in wanted} - {SUMS}
        done = Plain(removed=len(strange))
        done.there = sum(record.size for path, record in wanted.items() if path not in new)
        if not new and not strange and SUMS in stats:
            return done
        # What is recorded is there; so what is to change is recorded no more before it does.
        here = {path: record for path, record in known.items() if wanted.get(path) == record}
        bucket.remove([SUMS])
        _record(bucket, here)
        total = sum(wanted[path].size for path in new)
        with following("pushing plain keys", total, None) as at:
            unrecorded = 0
            for path in new:
                mark.renew()
                record = wanted[path]
                bucket.put_parts(f"{FOLDER}/{path}", _read(sources[record.sha256], record))
                here[path] = record
                done.files += 1
                done.bytes += record.size
                unrecorded += record.size
                at(done.bytes)
                if unrecorded >= _RECORDED:
                    _record(bucket, here)
                    unrecorded = 0
        bucket.remove(strange)
        _record(bucket, here)
        lines = "".join(f"{record.sha256}  {path}\n" for path, record in sorted(wanted.items()))
        bucket.put(SUMS, lines.encode())
    return done


def verify(bucket: Bucket) -> dict[str, Wrong]:
    """Reads all plain keys, and compares them with what was written; what is wrong, by key. Empty
    also where there are none. Raises BucketError where the record of them is damaged."""
    recorded = _recorded(bucket)
    if recorded is None:
        return {}
    wrong: dict[str, Wrong] = {}
    stats = bucket.listing(FOLDER)
    lines = "".join(f"{record.sha256}  {path}\n" for path, record in sorted(recorded.items()))
    if bucket.get(SUMS) != lines.encode():
        wrong[SUMS] = Wrong("the sums of the files there", "others, or none")
    for key in stats.keys() - {f"{FOLDER}/{path}" for path in recorded} - {SUMS}:
        wrong[key] = Wrong("no such key", f"{stats[key].size} bytes")
    with following("verifying plain keys", sum(one.size for one in recorded.values()), None) as at:
        read = 0
        for path, record in recorded.items():
            key = f"{FOLDER}/{path}"
            digest = hashlib.sha256()
            size = stats[key].size if key in stats else 0
            for begin in range(0, size, PIECE):
                digest.update(bucket.get_range(key, begin, min(PIECE, size - begin)) or b"")
            if key not in stats or digest.hexdigest() != record.sha256:
                found = f"SHA-256 {digest.hexdigest()}" if key in stats else "nothing"
                wrong[key] = Wrong(f"SHA-256 {record.sha256}", found)
            read += record.size
            at(read)
    return wrong


def _recorded(bucket: Bucket) -> dict[str, FileRecord] | None:
    data = bucket.get(RECORD, _LONGEST)
    if data is None:
        return None
    try:
        found = {
            path: FileRecord(typed(int, one["size"]), typed(str, one["sha256"]))
            for path, one in json.loads(data).items()
        }
        if _record_bytes(found) != data:
            raise ValueError("another text than this package writes")
    except UNREADABLE as error:
        raise BucketError(
            "The record of plain keys is damaged",
            expected="the text that this package wrote",
            found=f"{type(error).__name__}: {error}"[:200],
            where=f"{bucket.url.rstrip('/')}/{RECORD}",
            hint=f"`wmtp push {shlex.quote(bucket.url)} --layout plain --force` where the storage "
            "is writes all of them again.",
        ) from error
    return found


def _record(bucket: Bucket, here: Mapping[str, FileRecord]) -> None:
    bucket.put(RECORD, _record_bytes(here))


def _record_bytes(here: Mapping[str, FileRecord]) -> bytes:
    return json_bytes({path: record._asdict() for path, record in sorted(here.items())})


def _read(path: Path, record: FileRecord) -> Iterator[bytes]:
    """A file's bytes, part by part; before the last of them its digest is compared."""
    whole, left = hashlib.sha256(), record.size
    with storage_errors(f"Reading {path.name}", path), path.open("rb", buffering=0) as file:
        page_cache.read_in_order(file.fileno())
        while left > 0:
            data = os.read(file.fileno(), min(PIECE, left))
            whole.update(data)
            left -= len(data)
            if not data or (left == 0 and whole.hexdigest() != record.sha256):
                raise BucketError(
                    "A file is not what its receipt says, and is not pushed",
                    expected=f"SHA-256 {record.sha256}",
                    found=f"SHA-256 {whole.hexdigest()}",
                    where=path,
                    hint="`wmtp verify --deep` says what to make again.",
                )
            yield data
