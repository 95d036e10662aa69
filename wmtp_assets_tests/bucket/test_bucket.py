"""Storages in a folder as a bucket (file://): what arrives, what is found, who wins."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks.bucket.rounds import flips, killed, races
from wmtp_assets.bucket import (
    Bucket,
    BucketError,
    Head,
    gc,
    history,
    is_url,
    marks,
    rollback,
    verify,
)
from wmtp_assets.bucket.access import remedy
from wmtp_assets.bucket.blocks import list_size
from wmtp_assets.bucket.edition import PIECE
from wmtp_assets.bucket.marks import Mark, alone, at_work
from wmtp_assets.bucket.pull import LOCK, abandoned
from wmtp_assets.errors import WmtpError
from wmtp_assets.storage import locks
from wmtp_assets.storage.errors import StorageError
from wmtp_assets_tests.bucket.small import UPSTREAM, Small, small

LARGE = 2 * PIECE + 12_345


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """A storage with a file of three pieces. Only for reading."""
    return small(tmp_path_factory.mktemp("large") / "storage", LARGE)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


def objects(tmp_path: Path) -> list[Path]:
    """The files of a bucket's objects, without what a killed writer left."""
    every = (tmp_path / "bucket" / "objects").iterdir()
    return sorted(path for path in every if "#" not in path.name)


def test_what_was_pushed_arrives_whole(made: Small, tmp_path: Path, url: str) -> None:
    pushed = made.push(url)
    assert pushed.head is not None
    assert not pushed.wrong
    assert [len(some) for some in pushed.edition.pieces.values()] == [3]
    found = verify(Bucket(url))
    assert (found.sound, found.files, found.size) == (True, 6, pushed.bytes)

    other = Small(tmp_path / "other")
    pulled = other.pull(url)
    assert (pulled.bytes, pulled.there) == (pushed.bytes, 0)
    here, there = made.files(), other.files()
    lock = json.loads(here.pop("assets.lock")), json.loads(there.pop("assets.lock"))
    assert here == there  # receipts, publications and links included
    assert lock[0] == lock[1]
    for name in ("model", "rows"):
        assert other.store.misplaced(name) == []

    again, once_more = made.push(url), other.pull(url)
    assert (again.unchanged, again.objects, again.head) == (True, 0, pushed.head)
    assert (once_more.bytes, once_more.there) == (0, pushed.bytes)
    assert other.push(f"file://{tmp_path}/bucket2").edition.digest == pushed.edition.digest


def test_only_what_is_new_is_sent_and_fetched(made: Small, tmp_path: Path, url: str) -> None:
    made.push(url)
    mine = Small(tmp_path / "mine")
    mine.pull(url)
    mine.make("r", r_jsonl=b"other rows\n")
    sent = mine.push(url)
    assert (sent.objects, sent.bytes) == (1, len(b"other rows\n"))
    assert [head.number for head in history(Bucket(url))] == [2, 1]

    theirs = Small(tmp_path / "theirs")
    theirs.make("r", r_jsonl=b"older rows\n")
    theirs.pull(url)
    assert (theirs.root / "datasets_v2/r/r.jsonl").read_bytes() == b"other rows\n"
    assert theirs.pull(url).bytes == 0
    theirs.store.rollback("rows")  # to what the pull replaced
    assert (theirs.root / "datasets_v2/r/r.jsonl").read_bytes() == b"older rows\n"
    assert theirs.pull(url).bytes == 0
    assert (theirs.root / "datasets_v2/r/r.jsonl").read_bytes() == b"other rows\n"


def test_every_flipped_byte_is_found_by_verify_and_by_pull(tmp_path: Path, url: str) -> None:
    assert flips(url, tmp_path, 24, os.environ.get("PYTEST_XDIST_TESTRUNUID", "flips")) == []


def test_a_flip_in_a_list_of_blocks_is_found(made: Small, tmp_path: Path, url: str) -> None:
    pushed = made.push(url)
    (name,) = pushed.edition.blocks.values()
    path = tmp_path / "bucket/objects" / name
    assert path.stat().st_size == list_size(LARGE)
    path.write_bytes(b"x" + path.read_bytes()[1:])
    found = verify(Bucket(url))
    (path_there,) = (p for p, _ in pushed.edition.places() if p.endswith("a.bin"))
    assert found.paths == {f"objects/{name}": [path_there]}
    assert list(Small(tmp_path / "other").pull_wrong(url)) == [f"objects/{name}"]


def test_a_list_of_other_blocks_is_found(made: Small, tmp_path: Path, url: str) -> None:
    edition = made.push(url).edition
    (file,) = edition.blocks
    others = bytes(list_size(LARGE))
    name = hashlib.sha256(others).hexdigest()
    (tmp_path / "bucket/objects" / name).write_bytes(others)
    wrong = replace(edition, blocks={file: name})
    (tmp_path / f"bucket/editions/{wrong.digest}.json").write_bytes(wrong.to_bytes())
    assert Head.publish(Bucket(url), wrong.digest, 1)
    assert list(verify(Bucket(url)).wrong) == [f"editions/{wrong.digest}.json"]


def test_what_verify_proposes_repairs_the_bucket(tmp_path: Path, url: str) -> None:
    made = small(tmp_path / "storage")
    made.push(url)
    for path in (tmp_path / "bucket").rglob("*"):
        if path.is_file():
            path.write_bytes(b"rubbish")
    with pytest.raises(BucketError, match=r"damaged.*wmtp push '?file:.* --force"):
        verify(Bucket(url))
    with pytest.raises(BucketError, match="damaged"):
        made.push(url)
    assert made.push(url, force=True).head is not None
    assert verify(Bucket(url)).sound


def test_of_two_writers_exactly_one_wins(tmp_path: Path, url: str) -> None:
    assert races(Bucket(url, make=True), 20) == 20


def test_a_request_that_was_sent_twice_is_no_other_writer(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(url, make=True)
    create = Bucket.create
    monkeypatch.setattr(
        Bucket,
        "create",
        lambda *given: create(*given) and create(*given),  # the first got lost
    )
    assert Head.publish(bucket, "a" * 64, 0) == Head.latest(bucket)
    monkeypatch.undo()
    assert Head.publish(bucket, "a" * 64, 0) is None


def test_who_was_killed_in_its_turn_is_waited_for_a_minute_only(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket(url, make=True)
    mark = Mark(bucket, "publishing")
    path = tmp_path / "bucket" / mark.key
    os.utime(path, (path.stat().st_atime - 61, path.stat().st_mtime - 61))
    with alone(bucket, "publishing"):
        assert len(list(path.parent.iterdir())) == 2
    bucket.remove([mark.key])
    monkeypatch.setattr(marks, "TURN", timedelta(hours=1))  # the machine may stand still itself
    waiting = Mark(bucket, "publishing")
    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(Head.publish, bucket, "a" * 64, 0)
        with pytest.raises(TimeoutError):
            turn.result(0.3)
        bucket.remove([waiting.key])
        assert turn.result(240)


def test_a_push_that_was_overtaken_says_so(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = small(tmp_path / "storage")
    made.push(url)
    made.make("r", r_jsonl=b"mine\n")
    bucket = Bucket(url)
    put = Bucket.put

    def put_and_overtake(self: Bucket, key: str, data: bytes) -> None:
        put(self, key, data)
        if key.startswith("editions/"):
            assert Head.publish(bucket, history(bucket)[0].edition, 1)

    monkeypatch.setattr(Bucket, "put", put_and_overtake)
    with pytest.raises(BucketError, match="published meanwhile"):
        made.push(url)
    monkeypatch.undo()
    again = made.push(url)
    assert again.head is not None
    assert (again.head.number, again.bytes) == (3, 0)


def test_killed_midway_neither_sends_nor_fetches_again_what_has_arrived(
    made: Small, tmp_path: Path, url: str
) -> None:
    killed("push", made.root, url, tmp_path / "log", 2, one_by_one=True)
    arrived = sum(path.stat().st_size for path in objects(tmp_path))
    assert 0 < arrived < LARGE  # small files may overtake the pieces of the large one
    assert history(Bucket(url)) == []
    sent = made.push(url)
    assert sent.bytes + sent.there == verify(Bucket(url)).size
    assert sent.there == arrived

    other = Small(tmp_path / "other")
    killed(
        "pull", other.root, url, tmp_path / "log", 6, one_by_one=True
    )  # four are asked for ahead
    assert not (other.root / "published").exists()
    total = sent.bytes + sent.there
    pieces = sum(path.stat().st_size for path in (other.root / ".pulling").iterdir())
    assert pieces >= PIECE
    fetched = other.pull(url)
    assert fetched.bytes <= total - PIECE
    assert fetched.bytes + fetched.there == total
    assert (other.root / "models_v2/m/a.bin").read_bytes() == (
        made.root / "models_v2/m/a.bin"
    ).read_bytes()
    assert not (other.root / ".pulling").exists()


def test_a_pull_that_is_given_up_is_a_leftover(tmp_path: Path, url: str) -> None:
    small(tmp_path / "storage").push(url)
    objects(tmp_path)[0].write_bytes(b"rubbish")
    other = Small(tmp_path / "other")
    assert other.pull(url).wrong
    left = abandoned(other.store)
    assert left
    with locks.exclusive(other.store.root / LOCK):  # as a pull that has begun since
        assert other.store.gc(guarded=left).held == {".pulling": "a pull is at work"}
    assert other.store.gc(guarded=left).removed
    assert [path for one in abandoned(other.store) for path in one.files()] == []


def test_a_file_that_is_not_what_its_receipt_says_is_not_published(
    tmp_path: Path, url: str
) -> None:
    made = small(tmp_path / "storage")
    path = made.store.path("m") / "a.bin"
    data = bytearray(path.read_bytes())
    data[17] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    pushed = made.push(url)
    assert list(pushed.wrong) == [str(path)]
    assert pushed.head is None
    assert history(Bucket(url)) == []


def test_sets_are_not_dropped_unasked(tmp_path: Path, url: str) -> None:
    made = small(tmp_path / "storage")
    made.push(url)
    with pytest.raises(BucketError, match=r"without rows.*--drop"):
        made.push(url, "model")
    pushed = made.push(url, "model", drop=True)
    assert list(pushed.edition.publications) == ["model"]
    back = rollback(Bucket(url))
    assert back.number == 3
    other = Small(tmp_path / "other")
    other.pull(url)
    assert (other.root / "datasets_v2/r/r.jsonl").is_file()


def test_history_rollback_and_gc(tmp_path: Path, url: str) -> None:
    made = small(tmp_path / "storage")
    bucket = Bucket(url, make=True)
    for text in (b"one\n", b"two\n", b"three\n"):
        made.make("r", r_jsonl=text)
        made.push(url)
    third, second, first = history(bucket)
    assert rollback(bucket).edition == second.edition
    assert rollback(bucket, third.edition[:12]).edition == third.edition
    with pytest.raises(BucketError, match=r"no such edition.*wmtp history"):
        rollback(bucket, "0123456789")

    (tmp_path / "bucket/objects" / ("f" * 64)).write_bytes(b"of a push that did not end")
    staged = tmp_path / "bucket/objects" / ("e" * 64 + "#1")
    staged.write_bytes(b"of an object that was not written to its end")
    before = len(objects(tmp_path))
    would = gc(bucket, dry_run=True)
    assert len(objects(tmp_path)) == before
    done = gc(bucket)
    assert done == would
    assert not staged.exists()
    assert done.editions == 1
    assert len(objects(tmp_path)) == before - 2  # and the rows of the first edition
    assert f"editions/{first.edition}.json" in done.objects
    assert {head.edition for head in history(bucket)} == {third.edition, second.edition}
    assert verify(bucket).sound
    rollback(bucket)
    assert verify(bucket).sound
    with pytest.raises(BucketError, match="no such edition"):
        rollback(bucket, first.edition)


def test_an_edition_whose_objects_are_lost_is_not_gone_back_to(tmp_path: Path, url: str) -> None:
    made = small(tmp_path / "storage")
    made.push(url)
    sha256 = made.edition()[0].receipts["r"].files["r.jsonl"].sha256
    made.make("r", r_jsonl=b"new\n")
    made.push(url)
    (tmp_path / "bucket/objects" / sha256).unlink()
    with pytest.raises(BucketError, match="cannot be restored"):
        rollback(Bucket(url))


def test_gc_and_push_exclude_each_other(tmp_path: Path, url: str) -> None:
    made = small(tmp_path / "storage")
    made.push(url)
    bucket = Bucket(url)
    with at_work(bucket, "push", against=["gc"]):
        with pytest.raises(BucketError, match="`wmtp push` is running"):
            gc(bucket)
        mark = next((tmp_path / "bucket/at-work").iterdir())
        day = 25 * 3600
        os.utime(mark, (mark.stat().st_atime - day, mark.stat().st_mtime - day))
        gc(bucket)  # a mark of yesterday is a killed process's, and goes
        assert not mark.exists()
    with (
        at_work(bucket, "gc", against=["push"]),
        pytest.raises(BucketError, match="`wmtp gc` is running"),
    ):
        made.push(url)
    assert list((tmp_path / "bucket/at-work").iterdir()) == []


def test_nothing_is_removed_where_a_record_is_damaged(tmp_path: Path, url: str) -> None:
    small(tmp_path / "storage").push(url)
    edition = next((tmp_path / "bucket/editions").iterdir())
    edition.write_bytes(b"{}")
    with pytest.raises(BucketError, match="damaged"):
        gc(Bucket(url), keep=1)
    assert edition.exists()
    assert objects(tmp_path)


def test_what_is_in_the_way_of_a_pull_is_refused(tmp_path: Path, url: str) -> None:
    small(tmp_path / "storage").push(url)
    other = Small(tmp_path / "other")
    (other.root / "models_v2/m").mkdir(parents=True)
    (other.root / "models_v2/m/mine").write_text("mine")
    with pytest.raises(StorageError, match="Something else stands"):
        other.pull(url)
    assert (other.root / "models_v2/m/mine").read_text() == "mine"
    strangers = Small(tmp_path / "strangers")
    strangers.root.mkdir()
    (strangers.root / "thesis.tex").touch()
    with pytest.raises(StorageError, match="this folder is not one"):
        strangers.pull(url)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value["files"].update({"../x": value["files"].pop(UPSTREAM)}),
        lambda value: value["files"].update({"published/x": value["files"].pop(UPSTREAM)}),
        lambda value: value["files"][UPSTREAM].update(sha256="../../x"),
        lambda value: value["artifacts"].pop("m"),
        lambda value: value.update(format=2),
    ],
)
def test_an_edition_that_somebody_else_wrote_is_refused(
    change: object, tmp_path: Path, url: str
) -> None:
    small(tmp_path / "storage").push(url)
    path = next((tmp_path / "bucket/editions").iterdir())
    value = json.loads(path.read_bytes())
    change(value)  # type: ignore[operator]
    data = json.dumps(value, indent=2).encode() + b"\n"
    name = hashlib.sha256(data).hexdigest()
    (path.parent / f"{name}.json").write_bytes(data)
    assert Head.publish(Bucket(url), name, 1)
    other = Small(tmp_path / "other")
    with pytest.raises(BucketError, match="damaged"):
        other.pull(url)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "text",
    [
        "http://host/bucket",
        "s3://",
        "file://relative/path",
        "file:///",
        "s3://key:secret@bucket/folder",
        "s3://bucket?x=1",
        "memory:///",
    ],
)
def test_what_is_no_url_of_a_bucket_is_refused(text: str) -> None:
    assert is_url(text)
    with pytest.raises(BucketError, match="not the URL of a bucket") as raised:
        Bucket(text)
    assert "secret" not in str(raised.value)


def test_paths_are_no_urls() -> None:
    assert not any(map(is_url, ("models/micro-mtp", "/data/x", "C:\\x", "x:y")))


FULL = "Generic LocalFileSystem error: Unable to copy data to file: No space left on device "
FULL += "(os error 28)"  # as a small disk said


@pytest.mark.parametrize(
    ("url", "said", "expected"),
    [
        ("file:///disk/b", FULL, r"make room on that disk: `wmtp gc file:///disk/b` removes"),
        (
            "s3://b/f",
            "403: <Code>QuotaExceeded</Code>",
            "its quota raised: `wmtp gc s3://b/f`",
        ),
        ("s3://b/f", "404 Not Found: <Code>NoSuchBucket</Code>", "make the bucket"),
        (
            "s3://b/f",
            "403 Forbidden: <Code>RequestTimeTooSkewed</Code>",
            "^set this machine's clock",
        ),
        ("s3://b/f", "400 Bad Request: <Code>ExpiredToken</Code>", "have expired: set new ones"),
        ("s3://b/f", 'Encountered object with invalid path: Path "f/a//b"', "^remove the object"),
        ("s3://b/f", "403 Forbidden", "^AWS_ACCESS_KEY_ID, "),
        ("gs://b/f", "403 Forbidden", "^GOOGLE_APPLICATION_CREDENTIALS says"),
        ("file:///disk/b", "Permission denied", "^see whether the folder is there"),
    ],
)
def test_the_remedy_is_that_of_the_refusal(url: str, said: str, expected: str) -> None:
    assert re.search(expected, remedy(url, said))


def test_gc_makes_room_after_a_push_that_the_store_had_no_room_for(
    made: Small, tmp_path: Path, url: str
) -> None:
    made.push(url)
    for folder in ("heads", "editions"):  # which are written last
        shutil.rmtree(tmp_path / "bucket" / folder)
    before = len(objects(tmp_path))
    assert len(gc(Bucket(url)).objects) == before > 3
    assert objects(tmp_path) == []
    assert made.push(url).head is not None


def test_nothing_there_is_one_error(tmp_path: Path, url: str) -> None:
    with pytest.raises(BucketError, match="cannot be opened"):
        verify(Bucket(url))
    with pytest.raises(WmtpError, match="Nothing was pushed"):
        Small(tmp_path / "other").pull(f"file://{tmp_path}")


MEASURED = """
import re, sys
from pathlib import Path
from wmtp_assets.bucket import Bucket, verify
from wmtp_assets_tests.bucket.small import Small
getattr(Small(Path(sys.argv[2])), sys.argv[1])(sys.argv[3])
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_files(tmp_path: Path, url: str) -> None:
    big = small(tmp_path / "storage", 28 * PIECE)  # 224 MiB
    for what, root in (("push", big.root), ("pull", tmp_path / "other")):
        command = [sys.executable, "-c", MEASURED, what, str(root), url]
        done = subprocess.run(
            command, cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True
        )
        assert int(done.stdout) * 1024 < 200 * 10**6, what
