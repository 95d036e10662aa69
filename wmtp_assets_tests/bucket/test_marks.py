"""Marks of who is at work: they count, also after a process or its machine has slept."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from wmtp_assets.bucket import Bucket, BucketError, Head, gc, push, remove_mark, rollback, verify
from wmtp_assets.bucket.marks import Mark, at_work
from wmtp_assets.bucket.plain import write
from wmtp_assets.cli import main
from wmtp_assets.storage.errors import StorageError
from wmtp_assets_tests.bucket.small import small

DAY = 25 * 3600.0


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


def age(folder: Path, kind: str) -> None:
    """As if the machine that wrote these marks had slept for a day."""
    for path in (folder / "at-work").glob(f"{kind}-*"):
        status = path.stat()
        os.utime(path, (status.st_atime - DAY, status.st_mtime - DAY))


class Stopped(Bucket):
    """Whoever uses this bucket is stopped for a day when it first writes or removes an object of
    `kind`; meanwhile others collect what is not needed."""

    def __init__(self, url: str, folder: Path, kind: str) -> None:
        super().__init__(url)
        self.folder, self.kind, self.slept = folder, kind, False

    def put(self, key: str, data: bytes) -> None:
        super().put(key, data)
        if key.startswith("objects/") and not self.slept:
            self.slept = True
            age(self.folder, self.kind)
            gc(Bucket(self.url), keep=1)


def test_a_push_that_slept_publishes_nothing_that_gc_has_removed(tmp_path: Path, url: str) -> None:
    made = small(tmp_path / "storage")
    made.push(url)
    before = Head.latest(Bucket(url))
    made.make("r", r_jsonl=b"2\n")
    edition, sources = made.edition()
    with pytest.raises(BucketError, match="stopped for so long"):
        push(Stopped(url, tmp_path / "bucket", "push"), edition, sources)
    assert Head.latest(Bucket(url)) == before
    assert not list((tmp_path / "bucket/at-work").iterdir())
    assert push(Bucket(url), edition, sources).head  # what it proposes
    assert verify(Bucket(url)).sound


def test_a_gc_that_slept_removes_nothing_that_was_pushed_since(tmp_path: Path, url: str) -> None:
    made = small(tmp_path / "storage")
    made.push(url)
    lines = (tmp_path / "storage/datasets_v2/r/r.jsonl").read_bytes()
    made.make("r", r_jsonl=b"2\n")
    made.push(url)

    class Sleepy(Bucket):
        """It sleeps when it has listed all objects; meanwhile the first edition is back."""

        def leftovers(self, places: Iterable[str]) -> dict[str, Path]:
            age(tmp_path / "bucket", "gc")
            made.make("r", r_jsonl=lines)
            assert made.push(url).head
            return super().leftovers(places)

    with pytest.raises(BucketError, match="stopped for so long"):
        gc(Sleepy(url), keep=1)
    assert verify(Bucket(url)).sound


def test_going_back_after_a_sleep_is_refused(tmp_path: Path, url: str) -> None:
    made = small(tmp_path / "storage")
    made.push(url)
    made.make("r", r_jsonl=b"2\n")
    made.push(url)

    class Sleepy(Bucket):
        def get(self, key: str, most: int = 1 << 20) -> bytes | None:
            if key.startswith("editions/"):
                age(tmp_path / "bucket", "push")
            return super().get(key, most)

    with pytest.raises(BucketError, match="`wmtp rollback` was stopped for so long"):
        rollback(Sleepy(url))
    with at_work(Bucket(url), "gc", ["push"]), pytest.raises(BucketError, match="`wmtp rollback`"):
        rollback(Bucket(url))


def test_gc_keeps_away_from_plain_keys_that_are_being_written(tmp_path: Path, url: str) -> None:
    made = small(tmp_path / "storage")
    made.push(url)
    edition, sources = made.edition()
    refused = 0

    class Busy(Bucket):
        def put_parts(self, key: str, parts: Iterator[bytes]) -> None:
            nonlocal refused
            with pytest.raises(BucketError, match="`wmtp push --layout plain` is running"):
                gc(Bucket(url))
            refused += 1
            super().put_parts(key, parts)

    assert write(Busy(url), edition, sources).files == refused == 4
    with (
        at_work(Bucket(url), "gc", ["push"]),
        pytest.raises(BucketError, match="`wmtp gc` is running"),
    ):
        write(Bucket(url), edition, sources)


def test_the_mark_of_a_killed_gc_is_removed_by_the_command_that_the_refusal_names(
    tmp_path: Path, url: str
) -> None:
    made = small(tmp_path / "storage")
    killed = Mark(Bucket(url, make=True), "gc")
    with pytest.raises(BucketError, match=rf"of process {os.getpid()} on ") as raised:
        made.push(url)
    written = Bucket(url).listing("at-work")[killed.key].modified
    assert f"expires at {written + timedelta(days=1):%Y-%m-%d %H:%M:%S} UTC" in str(raised.value)
    (proposed,) = re.findall(r"`wmtp (gc [^`]+)`", raised.value.hint or "")
    assert main(shlex.split(proposed)) == 0
    assert made.push(url).head
    with pytest.raises(BucketError, match="expired"):
        killed.require()  # it lived after all: it removes nothing
    killed.remove()
    with pytest.raises(BucketError, match="no such mark of a process"):
        remove_mark(Bucket(url), killed.key)
    with pytest.raises(BucketError, match="no such mark of a process"):
        remove_mark(Bucket(url), next(iter(Bucket(url).listing("heads"))))
    assert verify(Bucket(url)).sound


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"host": "a\\nb", "process": 1}'])
def test_a_mark_that_does_not_say_whose_it_is_counts(text: bytes, tmp_path: Path, url: str) -> None:
    killed = Mark(Bucket(url, make=True), "gc")
    (tmp_path / "bucket" / killed.key).write_bytes(text)
    with pytest.raises(BucketError, match=r"`wmtp gc` is running.*mark, of [a-z]") as raised:
        small(tmp_path / "storage").push(url)
    assert "\n" not in str(raised.value)


def test_two_that_collect_at_once_are_not_in_each_others_way(tmp_path: Path, url: str) -> None:
    made = small(tmp_path / "storage")
    for text in (b"1\n", b"2\n", b"3\n"):
        made.make("r", r_jsonl=text)
        made.push(url)

    class Second(Bucket):
        """It is overtaken by another between its listing of the heads and what it reads then."""

        overtaken = False

        def get(self, key: str, most: int = 1 << 20) -> bytes | None:
            if not self.overtaken:
                self.overtaken = True
                gc(Bucket(url), keep=1)
            return super().get(key, most)

    assert gc(Second(url), keep=1).editions == 0
    assert verify(Bucket(url)).sound


def test_a_store_whose_listings_lag_is_one_error(tmp_path: Path, url: str) -> None:
    small(tmp_path / "storage").push(url)
    mark = Mark(Bucket(url), "push", ["gc"])
    (tmp_path / "bucket" / mark.key).unlink()
    with pytest.raises(BucketError, match="does not list an object that was just"):
        mark.require_alone()


def test_what_went_wrong_is_reported_also_where_the_mark_cannot_be_removed(
    tmp_path: Path, url: str
) -> None:
    class Gone(Bucket):
        """A bucket whose credentials have expired: it refuses everything."""

        def remove(self, keys: Iterable[str]) -> None:
            raise BucketError("Removing in the bucket did not succeed")

    made = small(tmp_path / "storage")
    edition, sources = made.edition()
    for source in sources.values():
        source.unlink()
    with pytest.raises(StorageError, match="Reading"):
        push(Gone(url, make=True), edition, sources)
