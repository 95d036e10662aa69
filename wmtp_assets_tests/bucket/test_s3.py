"""The same over a network: a real S3 server on loopback."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from wmtp_assets.bucket import Bucket, BucketError, gc, history, rollback, verify
from wmtp_assets.bucket.edition import PIECE
from wmtp_assets_tests.bucket import s3_server
from wmtp_assets_tests.bucket.small import Small, small
from wmtp_assets_tests.bucket.test_bucket import found, killed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not s3_server.is_installed(),
        reason=f"no swift in {s3_server.FOLDER}; .ci/run installs it, WMTP_SWIFT names another",
    ),
]
URL = f"s3://{s3_server.BUCKET}/team/storage"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with (
        s3_server.served(tmp_path_factory.mktemp("s3")) as variables,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in variables.items():
            patch.setenv(name, value)
        yield variables


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small(tmp_path_factory.mktemp("s3-storage") / "storage", PIECE + 1)


@pytest.fixture
def url(server: dict[str, str], request: pytest.FixtureRequest) -> str:
    """A folder of its own for each test, in one bucket."""
    return f"{URL}/{request.node.name}"


def test_all_of_it_over_s3(made: Small, url: str, tmp_path: Path) -> None:
    pushed = made.push(url)
    assert pushed.head is not None
    assert (made.push(url).unchanged, made.push(url).objects) == (True, 0)
    assert verify(Bucket(url)).sound
    other = Small(tmp_path / "other")
    assert other.pull(url).bytes == pushed.bytes
    assert other.files().keys() == made.files().keys()
    assert made.push(f"file://{tmp_path}/bucket").edition.digest == pushed.edition.digest

    other.make("r", r_jsonl=b"new rows\n")
    assert other.push(url).bytes == len(b"new rows\n")
    assert rollback(Bucket(url)).edition == pushed.edition.digest
    assert len(history(Bucket(url))) == 3
    removed = gc(Bucket(url), keep=1)
    assert removed.editions == 1
    assert removed.objects.pop(next(k for k in removed.objects if k.startswith("editions/")))
    assert list(removed.objects.values()) == [len(b"new rows\n")]
    assert Small(tmp_path / "third").pull(url).bytes == pushed.bytes


def test_flips_in_the_bucket_are_found(url: str, tmp_path: Path) -> None:
    made = small(tmp_path / "storage")
    made.push(url)
    bucket = Bucket(url)
    draw = random.Random("flips")
    keys = [key for key in bucket.listing("") if bucket.listing("")[key].size]
    for number in range(int(os.environ.get("WMTP_FLIPS", "6"))):
        key = keys[number % len(keys)]
        before = bucket.get(key)
        assert before is not None
        flipped = bytearray(before)
        flipped[draw.randrange(len(before))] ^= 1 << draw.randrange(8)
        bucket.put(key, bytes(flipped))
        other = Small(tmp_path / f"other-{number}")
        assert found(lambda: verify(bucket).wrong), key
        assert found(partial(other.pull_wrong, url)), key
        bucket.put(key, before)
    assert verify(bucket).sound


def test_a_killed_push_continues(made: Small, url: str) -> None:
    killed("push", made.root, url, 1)
    sent = made.push(url)
    assert sent.there > 0
    assert sent.there + sent.bytes == verify(Bucket(url)).size


def test_an_object_that_is_there_is_not_created(url: str) -> None:
    bucket = Bucket(url)
    assert bucket.create("heads/1", b"first")
    assert not bucket.create("heads/1", b"second")
    assert bucket.get("heads/1") == b"first"
    with ThreadPoolExecutor(4) as pool:  # of as many as come, at least one is told
        assert sum(pool.map(lambda n: bucket.create("heads/2", b"%d" % n), range(4))) >= 1
    assert not bucket.create("heads/2", b"late")
    bucket.remove(["heads/1", "heads/3"])
    assert bucket.get("heads/1") is None


def test_a_wrong_secret_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(BucketError, match=r"403|denied|SignatureDoesNotMatch") as raised:
        history(Bucket(url))
    assert "AWS_SECRET_ACCESS_KEY" in str(raised.value)


def test_a_bucket_that_is_not_there_is_one_error(server: dict[str, str]) -> None:
    with pytest.raises(BucketError, match=r"404|NoSuchBucket|not found"):
        verify(Bucket("s3://nowhere/folder"))
