"""A bucket by its URL: the few operations that are used of one, and what goes wrong as one error.

obstore speaks to S3, Google Cloud Storage and Azure, and to a folder (`file://`) in the same way.
Endpoints and credentials come from the environment variables of each, never from the URL.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from wmtp_assets.bucket.access import (
    BucketError,
    brief,
    checked_url,
    folder_of,
    hint_for,
    is_cut,
    is_panic,
    plain_http,
    remedy,
)
from wmtp_assets.storage import walks

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_STAGED = re.compile(r".+#[0-9]+")  # how obstore names a file that it writes
LARGEST = 256 << 20
"""Bytes of what is read at once, at most: the list of the blocks of a file of 550 GB."""
_AT_ONCE = 1000  # keys in one request to delete
_RETRIES, _RETRIED = 5, 120.0  # of one request; seconds after which there is no other

T = TypeVar("T")

_first_user: list[int] = []
"""The process that used a bucket first; a forked one has its memory, but not its threads."""


class Stat(NamedTuple):
    """What a listing says of an object: its size in bytes, and when it was written (UTC)."""

    size: int
    modified: datetime


class Bucket:
    """What lies below one URL. Every method raises BucketError where the bucket refuses.

    `make` makes the folder of a `file://` URL; buckets of a provider must exist.
    """

    def __init__(self, url: str, *, make: bool = False) -> None:
        self.url = url
        self._store = _opened(url, make)

    def get(self, key: str, most: int = LARGEST) -> bytes | None:
        """The bytes of an object; None where there is none. Of an object that is longer than `most`
        bytes only the first `most` + 1, so that no object can fill the memory."""
        import obstore

        with self._errors("Reading", key):
            try:
                found = obstore.get(self._store, key)
                if found.meta["size"] > most:
                    return bytes(obstore.get_range(self._store, key, start=0, length=most + 1))
                return bytes(found.bytes())
            except FileNotFoundError:
                return None

    def get_range(self, key: str, begin: int, size: int) -> memoryview | None:
        """Some bytes of an object, or what there is of them; None where there is no object. They
        are obstore's own, not a copy."""
        import obstore

        with self._errors("Reading", key):
            try:
                return memoryview(obstore.get_range(self._store, key, start=begin, length=size))
            except FileNotFoundError:
                return None

    def put(self, key: str, data: bytes) -> None:
        """Writes an object as a whole, whether or not it is there."""
        import obstore

        with self._errors("Writing", key):
            obstore.put(self._store, key, data, use_multipart=False)

    def put_parts(self, key: str, parts: Iterator[bytes]) -> None:
        """Writes an object of any length, of which a few parts are in memory. Where `parts` raises,
        that is raised, and there is no object."""
        import obstore

        with self._errors("Writing", key):
            obstore.put(
                self._store, key, parts, use_multipart=True, chunk_size=8 << 20, max_concurrency=4
            )

    def create(self, key: str, data: bytes) -> bool:
        """Writes an object unless there is one of this key, which the bucket itself decides; False
        where there is."""
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._errors("Writing", key):
            try:
                obstore.put(self._store, key, data, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def listing(self, folder: str) -> dict[str, Stat]:
        """The objects below `folder/`, by key, in order."""
        with self._errors("Listing", folder):
            return dict(sorted(_whole_answer(partial(self._listed, folder)).items()))

    def _listed(self, folder: str) -> dict[str, Stat]:
        import obstore

        return {
            one["path"]: Stat(one["size"], one["last_modified"])
            for some in obstore.list(self._store, prefix=folder)
            for one in some
            if one["path"] != folder  # what consoles write for a folder: it has no name
        }

    def leftovers(self, places: Iterable[str]) -> dict[str, Path]:
        """What killed writers of `places`, which are keys and folders of keys, left in a `file://`
        bucket, where a listing does not show it: by the key that it was to have, with a number. (In
        the buckets of providers, an object is there as a whole or not at all.)"""
        root = folder_of(self.url)
        if root is None:
            return {}
        return {
            path.relative_to(root).as_posix(): path
            for place in places
            for path in _named_or_below(root / place)
            if _STAGED.fullmatch(path.name) and path.is_file() and not path.is_symlink()
        }

    def remove(self, keys: Iterable[str]) -> None:
        """Removes objects; what is gone already is no error."""
        import obstore

        names = list(keys)
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            with self._errors("Removing", some[0]):
                try:
                    _whole_answer(partial(obstore.delete, self._store, some))
                except FileNotFoundError:
                    for name in some:
                        self._remove_one(name)

    def _remove_one(self, key: str) -> None:
        import obstore

        try:
            _whole_answer(partial(obstore.delete, self._store, key))
        except FileNotFoundError:
            return

    @contextmanager
    def _errors(self, doing: str, key: str) -> Iterator[None]:
        from obstore.exceptions import BaseError

        _refuse_forked(self.url)
        try:
            yield
        except BaseException as error:
            if not isinstance(error, (BaseError, OSError)) and not is_panic(error):
                raise
            raise BucketError(
                f"{doing} in the bucket did not succeed",
                found=brief(error),
                where=f"{self.url.rstrip('/')}/{key}",
                hint=remedy(self.url, str(error)),
            ) from error


def _whole_answer(ask: Callable[[], T]) -> T:
    """What `ask` returns, a list or a removal; asked again where the answer was cut in its middle.
    (obstore does so for what it reads, and for all whose answer does not begin.)"""
    from obstore.exceptions import BaseError

    begun = time.monotonic()
    for retry in range(_RETRIES):
        try:
            return ask()
        except BaseError as error:
            if not is_cut(str(error)) or time.monotonic() - begun > _RETRIED:
                raise
        time.sleep(0.1 * 2**retry)
    return ask()


def _opened(url: str, make: bool) -> ObjectStore:
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    parts = checked_url(url)
    _refuse_forked(url)
    settings: dict[str, Any] = {"mkdir": True} if parts.scheme == "file" and make else {}
    if parts.scheme != "file":
        plain = plain_http(parts.scheme)
        settings = {
            # Of one request with all its bytes: 8 MiB in 5 minutes are 28 kB/s. Given here, these
            # options replace the environment's, of which one matters: http:// for an own server.
            "client_options": {"timeout": "300s", "connect_timeout": "10s", "allow_http": plain},
            "retry_config": {
                "max_retries": _RETRIES,
                "retry_timeout": timedelta(seconds=_RETRIED),
            },
        }
    try:
        return from_url(url, **settings)
    except BaseException as error:
        if not isinstance(error, (BaseError, OSError, ValueError)) and not is_panic(error):
            raise
        raise BucketError(
            "This bucket cannot be opened",
            expected="a bucket, or a folder that is there",
            found=brief(error),
            where=url,
            hint=hint_for(url),
        ) from error


def _refuse_forked(url: str) -> None:
    """Raises BucketError where this process was forked from one that has used a bucket: it would
    wait for threads that it does not have."""
    if not _first_user:
        _first_user.append(os.getpid())
    if _first_user[0] != os.getpid():
        raise BucketError(
            "A bucket cannot be used in a process that was forked from one that used a bucket",
            expected="a process that was spawned, or one that forks before a bucket is opened",
            found=f"process {os.getpid()}, forked from {_first_user[0]}",
            where=url,
            hint="start workers anew: multiprocessing_context='spawn' in torch's DataLoader.",
        )


def _named_or_below(place: Path) -> list[Path]:
    """What may be staged for an object at `place`, or for one below it; others may be writing."""
    staged = (
        path for path in walks.entries(place.parent) if path.name.startswith(f"{place.name}#")
    )
    return sorted([*staged, *walks.files_below(place, denied=True)])
