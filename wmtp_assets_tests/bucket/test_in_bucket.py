"""Reading where it lies: rows of a corpus by range, through the cache on this machine."""

from __future__ import annotations

import errno
import gc
import hashlib
import os
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import blake3
import numpy as np
import pytest
import safetensors.torch
import torch

import wmtp_assets
from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.bucket_copies import push
from wmtp_assets.bucket import Bucket, BucketError, ranges
from wmtp_assets.bucket import gc as collect
from wmtp_assets.bucket.blocks import BLOCK
from wmtp_assets.bucket.cache import Cache
from wmtp_assets.bucket.edition import PIECE
from wmtp_assets.bucket.ranges import Reader, RemoteFile
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.mtp.errors import LoadError
from wmtp_assets.mtp.in_bucket import streamed
from wmtp_assets.storage.errors import StorageError
from wmtp_assets_tests.bucket.small import Small, small

MODEL = "micro-mtp"
SETS = [f"datasets/codecontests_{name}" for name in ("train", "train_duplicates", "small_train")]
LARGE = 2 * PIECE + 12_345


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, str]:
    """A storage with a file of three pieces, and a bucket that it was pushed to."""
    folder = tmp_path_factory.mktemp("ranges")
    storage = small(folder / "storage", LARGE)
    storage.push(f"file://{folder}/bucket")
    return storage, f"file://{folder}/bucket"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each request for a range of an object."""
    sizes: list[int] = []
    get_range = Bucket.get_range

    def counted(self: Bucket, key: str, begin: int, size: int) -> memoryview | None:
        sizes.append(size)
        return get_range(self, key, begin, size)

    monkeypatch.setattr(Bucket, "get_range", counted)
    return sizes


def test_ranges_are_those_of_the_file(
    made: tuple[Small, str], tmp_path: Path, asked: list[int]
) -> None:
    storage, url = made
    whole = (storage.root / "models_v2/m/a.bin").read_bytes()
    reader = Reader(url, cache=Cache(tmp_path))
    file = RemoteFile(reader, reader.paths["models_v2/m/a.bin"])
    draw = random.Random(11)
    wanted = [(0, 1), (LARGE - 1, LARGE), (PIECE - 1, PIECE + 1), (0, 0), (LARGE - 5, LARGE + 9)]
    wanted += [(at, at + draw.randrange(3 * BLOCK)) for at in draw.sample(range(LARGE), 20)]
    assert list(file.read_all(wanted)) == [whole[begin:end] for begin, end in wanted]
    assert [file.read(begin, end - begin) for begin, end in wanted] == [
        whole[begin:end] for begin, end in wanted
    ]
    once = sum(asked)
    assert once <= sum(2 * BLOCK + end - begin for begin, end in wanted)
    assert Reader(url, cache=Cache(tmp_path)).paths == reader.paths
    again = RemoteFile(Reader(url, cache=Cache(tmp_path)), reader.paths["models_v2/m/a.bin"])
    assert list(again.read_all(wanted)) == [whole[begin:end] for begin, end in wanted]
    assert sum(asked) == once, "all of it was in the cache"


def test_neighbouring_blocks_are_one_request_for_each_piece(
    made: tuple[Small, str], tmp_path: Path, asked: list[int]
) -> None:
    reader = Reader(made[1], cache=Cache(tmp_path))
    file = RemoteFile(reader, reader.paths["models_v2/m/a.bin"])
    file.read(5 * BLOCK + 7, 1)
    file.read(2 * BLOCK, 8 * BLOCK)
    assert asked == [BLOCK, 3 * BLOCK, 4 * BLOCK], "what was there is not asked for"
    asked.clear()
    file.read(PIECE - BLOCK, 2 * BLOCK)
    assert asked == [BLOCK, BLOCK]


def test_what_waits_to_be_taken_is_limited_by_its_bytes(
    made: tuple[Small, str], tmp_path: Path, asked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (made[0].root / "models_v2/m/a.bin").read_bytes()
    reader = Reader(made[1], cache=Cache(tmp_path))
    file = RemoteFile(reader, reader.paths["models_v2/m/a.bin"])
    monkeypatch.setattr(ranges, "IN_MEMORY", 5 * BLOCK)
    wanted = [(at * BLOCK, (at + size) * BLOCK) for at, size in ((0, 2), (9, 2), (20, 2), (30, 6))]
    coming = file.read_all(wanted)
    assert next(coming) == whole[: 2 * BLOCK]
    assert asked[2:] == [], "a third would be more than five blocks"
    assert list(coming) == [whole[begin:end] for begin, end in wanted[1:]]
    assert sorted(asked) == [2 * BLOCK] * 3 + [6 * BLOCK], "one that is longer comes alone"


def test_a_flip_is_found_in_the_bucket_and_healed_in_the_cache(
    tmp_path: Path, asked: list[int]
) -> None:
    storage = small(tmp_path / "storage", LARGE)
    url = f"file://{tmp_path}/bucket"
    storage.push(url)
    whole = (storage.root / "models_v2/m/a.bin").read_bytes()
    reader = Reader(url, cache=Cache(tmp_path / "cache"))
    file = RemoteFile(reader, reader.paths["models_v2/m/a.bin"])
    file.read(0, 1)
    (block,) = (path for path in (tmp_path / "cache/blocks").rglob("*") if path.is_file())
    block.write_bytes(block.read_bytes()[:-1] + b"?")
    assert file.read(0, BLOCK) == whole[:BLOCK]
    assert asked == [BLOCK, BLOCK]

    key = tmp_path / "bucket/objects" / hashlib.sha256(whole[PIECE : 2 * PIECE]).hexdigest()
    data = bytearray(key.read_bytes())
    data[3 * BLOCK] ^= 1
    key.write_bytes(data)
    assert file.read(PIECE, 3 * BLOCK) == whole[PIECE:][: 3 * BLOCK]
    with pytest.raises(BucketError, match=r"not as it was pushed.*BLAKE3.*wmtp push '?file:"):
        file.read(PIECE + 3 * BLOCK, 1)
    key.unlink()
    with pytest.raises(BucketError, match="Found: nothing"):
        file.read(PIECE + 3 * BLOCK, 1)
    storage.push(url, force=True)
    assert file.read(PIECE + 3 * BLOCK, 9) == whole[PIECE + 3 * BLOCK :][:9]


def test_the_cache_stays_within_its_limit_and_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = Cache(tmp_path, 10 * BLOCK)
    blocks = [bytes([number]) * BLOCK for number in range(12)]
    digests = [blake3.blake3(data).digest() for data in blocks]
    for age, (digest, data) in enumerate(zip(digests, blocks, strict=True)):
        cache.keep_block(digest, data)
        path = tmp_path / "blocks" / digest.hex()[:2] / digest.hex()
        if path.exists():
            os.utime(path, (2**30 + age, 2**30 + age))
    assert cache.block(digests[8]) == blocks[8]  # which is a use, and a day later than the others
    cache.shrink()
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in left) <= 10 * BLOCK
    assert cache.block(digests[8]) == blocks[8]
    assert cache.block(digests[0]) is None
    assert cache.block(digests[11]) == blocks[11]


@pytest.mark.parametrize(
    "spoil", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")]
)
def test_what_is_no_file_in_the_cache_is_passed_over(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    data, cache = b"short", Cache(tmp_path, BLOCK)
    sha256, digest = hashlib.sha256(data).hexdigest(), blake3.blake3(data).digest()
    cache.keep_block(digest, data)
    assert cache.whole(sha256, len(data), lambda: [data]) == data
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        path.unlink()
        spoil(path)
    assert cache.block(digest) is None
    assert cache.whole(sha256, len(data), lambda: [data]) == data
    place = cache.opened() / "place"
    cache.link(sha256, lambda: [data], place)
    assert place.read_bytes() == data
    assert not place.is_symlink()


def test_a_file_in_the_cache_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    cache, digest = Cache(tmp_path, BLOCK), blake3.blake3(b"short").digest()
    cache.keep_block(digest, b"short")
    (kept,) = (path for path in tmp_path.rglob("*") if path.is_file())
    os.truncate(kept, 1 << 40)  # of which reading all would be the end
    assert cache.block(digest) is None
    sha256 = hashlib.sha256(b"short").hexdigest()
    (tmp_path / "files").mkdir()
    os.link(kept, tmp_path / "files" / sha256)
    assert cache.whole(sha256, 5, lambda: [b"short"]) == b"short"


@pytest.mark.parametrize("error", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_where_links_are_refused_files_are_copied(
    error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, cache = b"short", Cache(tmp_path, BLOCK)

    def refuse(*given: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", refuse)
    place = cache.opened() / "place"
    cache.link(hashlib.sha256(data).hexdigest(), lambda: [data], place)
    assert place.read_bytes() == data


def test_who_keeps_a_file_that_another_keeps_just_then_is_not_in_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, cache, link = b"short", Cache(tmp_path, BLOCK), os.link
    sha256 = hashlib.sha256(data).hexdigest()

    def overtaken(source: Path, target: Path) -> None:
        """Another process keeps its copy between any two steps of this one."""
        if not (kept := tmp_path / "files" / sha256).exists() and source.exists():
            kept.parent.mkdir(exist_ok=True)
            kept.write_bytes(data)
        link(source, target)

    monkeypatch.setattr(os, "link", overtaken)
    place = cache.opened() / "place"
    cache.link(sha256, lambda: [data], place)
    assert place.read_bytes() == data
    assert [path.name for path in (tmp_path / "files").iterdir()] == [sha256]


def test_a_cache_that_cannot_hold_an_index_says_what_to_set(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    cache = Cache(tmp_path / "cache", BLOCK)
    for use in (cache.opened, lambda: cache.link("0" * 64, list, cache.folder / "open/x/place")):
        with pytest.raises(StorageError, match=r"cannot be kept in the cache.*set WMTP_CACHE"):
            use()


def test_a_user_without_a_home_is_told_to_name_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "WMTP_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)  # which no list of users has
    with pytest.raises(BucketError, match="set WMTP_CACHE to a folder"):
        Cache()
    monkeypatch.setenv("WMTP_CACHE", str(tmp_path))
    assert Cache().folder == tmp_path


def test_a_cache_that_cannot_be_written_costs_speed_only(
    made: tuple[Small, str], tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file")
    reader = Reader(made[1], cache=Cache(tmp_path / "cache"))
    file = RemoteFile(reader, reader.paths["models_v2/m/a.bin"])
    whole = (made[0].root / "models_v2/m/a.bin").read_bytes()
    assert file.read(100, 50) == whole[100:150]


@pytest.mark.parametrize("given", ["much", "-1", "nan"])
def test_a_limit_that_is_none_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WMTP_CACHE_BYTES", given)
    with pytest.raises(BucketError, match=r"not a number of bytes.*`unset WMTP_CACHE_BYTES`"):
        Cache()
    monkeypatch.delenv("WMTP_CACHE_BYTES")
    assert Cache().limit == 20 * 10**9


@pytest.fixture(scope="module")
def pushed(project: Project, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bucket with a dataset and a model of the sample."""
    url = f"file://{tmp_path_factory.mktemp('pushed')}/bucket"
    assert push(project, url, [MODEL, *SETS]).head
    return url


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WMTP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_corpus_in_a_bucket_is_the_corpus(pushed: str, project: Project, cache: Path) -> None:
    here = wmtp_assets.open_corpus(project.storage, "codecontests", "train")
    there = wmtp_assets.open_corpus(pushed, "codecontests", "train")
    assert there.facts == here.facts
    wanted = [9, 2, 2, len(here) - 1, -1, 0]
    assert there.take(wanted) == here.take(wanted)
    assert [there[at] for at in wanted] == here.take(wanted)
    assert there.lines(slice(None)) == here.lines(slice(None))
    assert np.array_equal(there.balanced(20, seed=7), here.balanced(20, seed=7))
    assert dict(there.problem_index_map) == dict(here.problem_index_map)
    there.verify()
    again = pickle.loads(pickle.dumps(there))  # noqa: S301
    assert again.take(wanted) == here.take(wanted)
    assert len(list((cache / "open").iterdir())) == 2
    del again
    assert len(list((cache / "open").iterdir())) == 1


def test_annotations_come_with_the_rows(pushed: str, project: Project, cache: Path) -> None:
    for name, column in (("codecontests", "cluster"), ("codecontests_small", "cluster")):
        here = wmtp_assets.open_corpus(project.storage, name, "train")
        there = wmtp_assets.open_corpus(pushed, name, "train")
        assert np.array_equal(there.column(column), here.column(column))


def test_who_empties_the_cache_disturbs_no_reader(
    pushed: str, project: Project, cache: Path
) -> None:
    here = wmtp_assets.open_corpus(project.storage, "codecontests", "train")
    there = wmtp_assets.open_corpus(pushed, "codecontests", "train")
    shutil.rmtree(cache)
    assert there.take([1, 5]) == here.take([1, 5])
    assert np.array_equal(there.column("cluster"), here.column("cluster"))


def test_a_reader_whose_edition_was_removed_is_told(
    project: Project, cache: Path, tmp_path: Path
) -> None:
    url = f"file://{tmp_path}/bucket"
    push(project, url, [SETS[0]])
    corpus = wmtp_assets.open_corpus(url, "codecontests", "train")
    sent = pickle.dumps(corpus)
    push(project, url, [MODEL], drop=True)
    assert collect(Bucket(url), keep=1).editions == 1
    for use in (lambda: corpus.take([0]), lambda: pickle.loads(sent)):  # noqa: S301
        with pytest.raises(BucketError, match=r"opened is no longer.*open it again") as raised:
            use()
        assert "rollback" not in str(raised.value)


def test_a_split_that_was_not_pushed_is_one_error(pushed: str, cache: Path) -> None:
    with pytest.raises(CorpusError, match=r"no such split.*datasets_v2/codecontests/processed/tr"):
        wmtp_assets.open_corpus(pushed, "codecontests", "nonsense")


def test_a_forked_process_is_told_to_be_spawned(pushed: str, cache: Path) -> None:
    corpus = wmtp_assets.open_corpus(pushed, "codecontests", "train")
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        try:
            corpus.take([3])
        except BucketError as error:
            os.write(write, str(error).encode())
        finally:
            del corpus
            gc.collect()
            os._exit(0)
    os.close(write)
    said = os.read(read, 10_000).decode()
    os.close(read)
    os.waitpid(child, 0)
    assert "multiprocessing_context='spawn'" in said
    assert corpus.row_index.path.exists(), "it is the parent's to remove"


@pytest.mark.slow
def test_spawned_workers_read_it(pushed: str, cache: Path) -> None:
    corpus = wmtp_assets.open_corpus(pushed, "codecontests", "train")
    wanted = np.arange(8)
    loader = corpus.torch_loader(
        wanted, seed=1, shuffle=False, batch_size=4, num_workers=1, multiprocessing_context="spawn"
    )
    assert [row for batch in loader for row in batch] == corpus.take(wanted)


@pytest.mark.parametrize("dtype", [None, torch.float32])
def test_a_model_in_a_bucket_is_the_model(
    dtype: torch.dtype | None, pushed: str, project: Project, cache: Path
) -> None:
    here = wmtp_assets.from_pretrained(project.storage / "models_v2" / MODEL, dtype=dtype)
    there = wmtp_assets.from_pretrained(f"{pushed}/models_v2/{MODEL}", dtype=dtype)
    wanted = here.state_dict()
    found = there.state_dict()
    assert list(found) == list(wanted)
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    assert {one.dtype for one in found.values()} == {one.dtype for one in wanted.values()}
    assert not cache.exists()


def test_a_model_that_was_not_pushed_is_one_error(pushed: str) -> None:
    with pytest.raises(LoadError, match=rf"no such model.*models at models_v2/{MODEL}"):
        wmtp_assets.from_pretrained(f"{pushed}/models_v2/other")


def test_tensors_come_whole_over_the_bounds_of_pieces(tmp_path: Path) -> None:
    tensors = {
        name: torch.randn(size, generator=torch.Generator().manual_seed(size))
        for name, size in {"a": 1_500_000, "b": 3, "c": 2_000_000, "d": 0}.items()
    }
    storage, url = Small(tmp_path / "storage"), f"file://{tmp_path}/bucket"
    storage.make("m", a_bin=safetensors.torch.save(tensors, {"format": "pt"}), empty=b"")
    storage.push(url)
    reader = Reader(url, cache=Cache(tmp_path / "cache"))
    record = reader.paths["models_v2/m/a.bin"]
    found = dict(streamed(reader, record, Path("a"), None, "cpu"))
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    key = tmp_path / "bucket/objects" / next(iter(reader.edition.pieces.values()))[1]
    key.write_bytes(key.read_bytes()[:-1] + b"?")
    with pytest.raises(BucketError, match="not as it was pushed"):
        dict(streamed(reader, record, Path("a"), None, "cpu"))
