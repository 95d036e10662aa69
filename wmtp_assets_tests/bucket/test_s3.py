"""The same over a network: a real S3 server on loopback."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.bucket.rounds import flips, killed, races
from wmtp_assets.artifacts import Project
from wmtp_assets.bucket import Bucket, BucketError, Head, gc, history, rollback, verify
from wmtp_assets.bucket.cache import Cache
from wmtp_assets.bucket.edition import PIECE, edition_key
from wmtp_assets.bucket.ranges import Reader, RemoteFile
from wmtp_assets.cli import main
from wmtp_assets_tests.bucket import s3_server
from wmtp_assets_tests.bucket.small import Small, small

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not s3_server.is_installed(),
        reason=f"no swift in {s3_server.FOLDER}; .ci/run installs it, WMTP_SWIFT names another",
    ),
]
URL = f"s3://{s3_server.BUCKET}/team/storage"
PAGE = 7  # keys in one answer to a listing, so that a few keys need several answers


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with (
        s3_server.served(tmp_path_factory.mktemp("s3"), PAGE) as variables,
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


@pytest.mark.parametrize("count", [-1, 0, 1])
def test_a_listing_of_several_answers_is_whole(count: int, url: str, tmp_path: Path) -> None:
    count += PAGE
    made = Small(tmp_path / "storage")
    bucket = Bucket(url)
    texts = {f"x{number}": b"%d" % number for number in range(count - 1)}
    made.make("r", r_jsonl=b"first\n", **texts)
    assert made.push(url, "rows").objects == len(bucket.listing("objects")) == count
    assert (made.push(url, "rows").unchanged, made.push(url, "rows").objects) == (True, 0)
    head = Head.latest(bucket)
    assert head is not None
    for number in range(2, 1 + count):
        later = replace(head, number=number)
        bucket.put(later.key, later.to_bytes())
        bucket.put(edition_key(f"{number:064x}"), b"of a push that was killed")
    assert [one.number for one in history(bucket)] == list(range(count, 0, -1))
    made.make("r", r_jsonl=b"last\n")
    last = made.push(url, "rows").head
    assert last is not None
    assert last.number == 1 + count
    removed = gc(bucket, keep=1)
    assert removed.objects.keys() >= {edition_key(f"{number:064x}") for number in range(2, count)}
    assert [len(bucket.listing(folder)) for folder in ("heads", "editions", "objects")] == [1, 1, 1]
    assert verify(bucket).sound


def test_the_commands_over_s3(
    project: Project, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WMTP_CATALOG", "sample")
    monkeypatch.setenv("WMTP_STORAGE", str(project.storage))
    for command in ("push", "verify"):
        assert main([command, url, *(["humaneval"] if command == "push" else [])]) == 0
    monkeypatch.setenv("WMTP_STORAGE", str(tmp_path / "pulled"))
    assert main(["pull", url]) == 0
    rows = "datasets_v2/humaneval/processed/test.jsonl"
    assert (tmp_path / "pulled" / rows).read_bytes() == (project.storage / rows).read_bytes()


def test_flips_in_the_bucket_are_found(url: str, tmp_path: Path) -> None:
    assert flips(url, tmp_path, 5, "flips") == []


def test_of_two_writers_exactly_one_wins(url: str) -> None:
    """Swift looks whether an object is there before it writes it: most of these had two winners
    without a turn for each."""
    assert races(Bucket(url), 5) == 5


def test_a_killed_push_continues(made: Small, url: str, tmp_path: Path) -> None:
    killed("push", made.root, url, tmp_path / "log", 1, one_by_one=True)
    sent = made.push(url)
    assert sent.there > 0
    assert sent.there + sent.bytes == verify(Bucket(url)).size


def test_ranges_and_plain_keys_over_s3(made: Small, url: str, tmp_path: Path) -> None:
    done = made.push(url, plain=True).plain
    assert done is not None
    assert done.files == 4
    assert verify(Bucket(url)).sound
    whole = (made.root / "models_v2/m/a.bin").read_bytes()
    assert Bucket(url).get("plain/models_v2/m/a.bin") == whole
    again = made.push(url, plain=True).plain
    assert again is not None
    assert (again.files, again.removed) == (0, 0)

    reader = Reader(url, cache=Cache(tmp_path / "cache"))
    file = RemoteFile(reader, reader.paths["models_v2/m/a.bin"])
    ranges = [(at, at + 70_000) for at in range(0, PIECE, PIECE // 3)]
    assert list(file.read_all(ranges)) == [whole[begin:end] for begin, end in ranges]


def test_an_object_that_is_there_is_not_created(url: str) -> None:
    bucket = Bucket(url)
    assert bucket.create("heads/1", b"first")
    assert not bucket.create("heads/1", b"second")
    assert bucket.get("heads/1") == b"first"
    bucket.remove(["heads/1", "heads/3"])
    assert bucket.get("heads/1") is None


def test_a_wrong_secret_is_refused_and_never_shown(
    made: Small, url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    secret = "-".join(("not", "the", "one"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("RUST_LOG", "trace")
    for call in (lambda: history(Bucket(url)), lambda: made.push(url), lambda: made.pull(url)):
        with pytest.raises(BucketError, match=r"403|denied|SignatureDoesNotMatch") as raised:
            call()
        assert "AWS_SECRET_ACCESS_KEY" in str(raised.value)
        assert secret not in "".join(traceback.format_exception(raised.value))
    assert main(["verify", url]) == 2
    said = capfd.readouterr()
    assert "AWS_SECRET_ACCESS_KEY" in said.err
    assert secret not in said.out + said.err


def test_folders_that_a_console_made_are_no_objects(
    made: Small, url: str, server: dict[str, str]
) -> None:
    made.push(url, plain=True)
    for folder in ("objects", "heads", "plain", "at-work"):
        s3_server.put(server["AWS_ENDPOINT_URL"], f"{url.removeprefix('s3://')}/{folder}/")
    bucket = Bucket(url)
    assert verify(bucket).sound
    assert not gc(bucket).objects
    assert made.push(url, plain=True).unchanged


def test_a_name_that_cannot_be_listed_is_to_be_removed(
    made: Small, url: str, server: dict[str, str]
) -> None:
    made.push(url)
    s3_server.put(server["AWS_ENDPOINT_URL"], f"{url.removeprefix('s3://')}/heads/a//b")
    with pytest.raises(BucketError, match=r"heads/a//b.*remove the object of this name"):
        verify(Bucket(url))


def test_a_bucket_that_is_not_there_is_one_error(server: dict[str, str]) -> None:
    with pytest.raises(BucketError, match=r"404 Not Found: NoSuchBucket .*make the bucket with"):
        verify(Bucket("s3://nowhere/folder"))
