"""What lies in a bucket that this package did not write, or did not write there: heads, editions,
files beside its own. It is refused or left alone, and whoever is told what to do can do it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.bucket import Bucket, BucketError, Head, gc, history, rollback, verify
from wmtp_assets.bucket.edition import PIECE
from wmtp_assets.bucket.heads import current, head_keys
from wmtp_assets.cli import main
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.publications import Member, Publication
from wmtp_assets.storage.receipts import Receipt
from wmtp_assets_tests.bucket.small import UPSTREAM, Small, small

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bucket with one edition, in which a file has two pieces. Only for copying."""
    root = tmp_path_factory.mktemp("pushed")
    small(root / "storage", PIECE + 1).push(f"file://{root}/bucket")
    return root / "bucket"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/bucket"


def publish(bucket: Bucket, folder: Path, data: bytes) -> None:
    """Puts bytes there as an edition, under the name that is theirs, and a head to them."""
    name = hashlib.sha256(data).hexdigest()
    (folder / f"editions/{name}.json").write_bytes(data)
    assert Head.publish(bucket, name, 1)


def renewed(value: dict[str, Any]) -> None:
    """Gives the artifact and the set `r` of an edition the seals and digests that they have now."""
    receipt = Receipt.from_json(value["artifacts"]["r"])
    value["artifacts"]["r"] = json.loads(receipt.to_bytes())
    rows = value["sets"]["rows"]
    publication = Publication(
        "rows",
        {"r": Member(receipt.version, receipt.digest)},
        {path: (artifact, file) for path, (artifact, file) in rows["links"].items()},
        rows["mounts"],
        rows["sequence"],
        rows["replaced"],
        rows["made_at"],
    )
    value["sets"]["rows"] = json.loads(publication.to_bytes())


def linked(path: str, mount: str) -> Change:
    def change(value: dict[str, Any]) -> None:
        value["sets"]["rows"]["links"][path] = ["r", "r.jsonl"]
        value["sets"]["rows"]["mounts"].append(mount)
        renewed(value)

    return change


def with_file(path: str) -> Change:
    def change(value: dict[str, Any]) -> None:
        files = value["artifacts"]["r"]["files"]
        files[path] = files["r.jsonl"]
        renewed(value)

    return change


def fetched(path: str, **other: object) -> Change:
    def change(value: dict[str, Any]) -> None:
        value["files"] = dict(
            sorted({**value["files"], path: {**value["files"][UPSTREAM], **other}}.items())
        )

    return change


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(linked(".locks/x", ".locks/x"), id="link among the locks"),
        pytest.param(linked("versions/x", "versions/x"), id="link among the versions"),
        pytest.param(linked("upstream/x", "upstream"), id="link in place of fetched files"),
        pytest.param(linked("assets.lock", "assets.lock"), id="link in place of assets.lock"),
        pytest.param(linked("elsewhere/x", "elsewhere"), id="link in no folder of the contract"),
        pytest.param(linked("models_v2/x/y", "models_v2/z"), id="link below no mount"),
        pytest.param(linked("models_v2/m/x", "models_v2/m"), id="mount of another set"),
        pytest.param(with_file("receipt.json"), id="file in place of the receipt"),
        pytest.param(with_file("r.jsonl/x"), id="file in a file"),
        pytest.param(fetched(f"{UPSTREAM}/x"), id="fetched file in a file"),
        pytest.param(fetched("upstream"), id="fetched file in place of their folder"),
        pytest.param(fetched("assets.lock/x"), id="file in assets.lock"),
        pytest.param(fetched("upstream/x", size=3), id="two sizes of one digest"),
        pytest.param(fetched("upstream/x", size=True), id="size that is no number"),
        pytest.param(lambda value: value["pieces"].update({"f" * 64: []}), id="pieces of no file"),
        pytest.param(lambda value: value.update(more=1), id="unknown key"),
        pytest.param(lambda value: value.update(catalog="x\x1b]0;y\x07"), id="name for a terminal"),
        pytest.param(
            lambda value: fetched(
                "upstream/list", size=3, sha256=next(iter(value["blocks"].values()))
            )(value),
            id="two sizes of a list of blocks",
        ),
    ],
)
def test_an_edition_that_no_storage_could_have_is_refused_before_anything_is_written(
    change: Change, pushed: Path, tmp_path: Path, url: str
) -> None:
    shutil.copytree(pushed, tmp_path / "bucket")
    bucket = Bucket(url)
    value = json.loads(next((pushed / "editions").iterdir()).read_bytes())
    change(value)
    publish(bucket, tmp_path / "bucket", json_bytes(value))
    for use in (verify, lambda bucket: Small(tmp_path / "other").pull(bucket.url)):
        with pytest.raises(BucketError, match="damaged"):
            use(bucket)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "other",
    [
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data.decode().encode("utf-16"),
        lambda data: data.replace(b'"catalog": ', b'"catalog": "x",\n  "catalog": '),
        lambda data: b'{"a":' * 100_000,
        lambda data: b"\xff",
    ],
    ids=["byte order mark", "UTF-16", "key twice", "deep", "no text"],
)
def test_an_edition_is_the_text_that_this_package_writes(
    other: Callable[[bytes], bytes], pushed: Path, tmp_path: Path, url: str
) -> None:
    shutil.copytree(pushed, tmp_path / "bucket")
    data = other(next((pushed / "editions").iterdir()).read_bytes())
    publish(Bucket(url), tmp_path / "bucket", data)
    with pytest.raises(BucketError, match="damaged"):
        current(Bucket(url))


@pytest.mark.parametrize(
    "name",
    [
        "readme.txt",
        "0000000001.json.bak",
        "00000000009.json",
        "٣٣٣٣٣٣٣٣٣٣.json",
        "a/0000000009.json",
    ],
)
def test_what_is_no_head_is_left_alone(name: str, tmp_path: Path, url: str) -> None:
    made = small(tmp_path / "storage")
    made.push(url)
    stray = tmp_path / "bucket/heads" / name
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("mine")
    assert verify(Bucket(url)).sound
    made.make("r", r_jsonl=b"2\n")
    second = made.push(url).head
    assert second is not None
    assert second.number == 2
    assert rollback(Bucket(url)).number == 3
    assert gc(Bucket(url), keep=1).editions == 1
    assert stray.read_text() == "mine"


def test_heads_are_ordered_by_their_numbers(tmp_path: Path, url: str) -> None:
    made = small(tmp_path / "storage")
    made.push(url)
    bucket = Bucket(url)
    first = Head.latest(bucket)
    assert first is not None
    assert Head.publish(bucket, first.edition, 9_999_999_998)
    made.make("r", r_jsonl=b"2\n")
    second = made.push(url).head
    assert second is not None
    assert second.number == 10**10
    assert Head.latest(bucket) == second
    assert [head.number for head in history(bucket)] == [10**10, 10**10 - 1, 1]


def test_what_gc_proposes_where_a_record_is_damaged_helps(tmp_path: Path, url: str) -> None:
    made = small(tmp_path / "storage")
    made.push(url)
    bucket, folder = Bucket(url), tmp_path / "bucket"
    (folder / "heads/0000000002.json").write_text("x")
    assert made.push(url, force=True).head
    with pytest.raises(BucketError, match="remove this object") as raised:
        gc(bucket)
    (folder / str(raised.value.where).removeprefix(f"{url}/")).unlink()
    gc(bucket)
    made.make("r", r_jsonl=b"2\n")
    made.push(url)
    (folder / f"editions/{history(bucket)[1].edition}.json").write_text("x")
    with pytest.raises(BucketError, match=r"push .* --force.* gc .* --keep 1"):
        gc(bucket)
    made.push(url, force=True)
    assert gc(bucket, keep=1).editions == 1
    assert verify(bucket).sound


def test_a_head_cannot_write_lines_of_its_own_into_the_history(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    small(tmp_path / "storage").push(url)
    first = Head.latest(Bucket(url))
    assert first is not None
    forged = replace(first, number=2, host="x\n* 3  0123456789ab\x1b[2J")
    (tmp_path / "bucket" / forged.key).write_bytes(forged.to_bytes())
    assert main(["history", url]) == 0
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 3
    assert "\x1b" not in said


def test_gc_removes_no_files_beside_its_own(tmp_path: Path, url: str) -> None:
    made = small(tmp_path / "storage")
    made.push(url, plain=True)
    folder = tmp_path / "bucket"
    mine = [folder / "notes#1", folder / "photos/img#12"]
    left = [
        folder / f"objects/{'a' * 64}#1",
        folder / "plain.json#2",
        folder / "plain/models_v2/m/README_1.md#3",
    ]
    for path in mine + left:
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    removed = gc(Bucket(url)).objects
    assert sorted(removed) == sorted(str(path.relative_to(folder)) for path in left)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in mine)


def test_who_reads_while_the_edition_is_replaced_and_removed_sees_the_next(
    tmp_path: Path, url: str
) -> None:
    made = small(tmp_path / "storage")
    made.push(url)
    made.make("r", r_jsonl=b"2\n")

    class Slow(Bucket):
        """Others push and collect between this reader's first listing and what it reads then."""

        replaced = False

        def get(self, key: str, most: int = 1 << 20) -> bytes | None:
            if not self.replaced:
                self.replaced = True
                made.push(url)
                gc(Bucket(url), keep=1)
            return super().get(key, most)

    head, edition = current(Slow(url))
    assert head.number == 2
    assert edition.digest == head.edition
    assert head_keys(Bucket(url)) == [head.key]
