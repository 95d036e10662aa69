"""A corpus is one edition of its split, whatever is published or removed while it is read."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import wmtp_assets
from wmtp_assets.corpora import file_set
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.metadata import write_metadata
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.storage import PublishedSet, Store
from wmtp_assets_tests.corpora.conftest import build_codecontests, problem, write_shard
from wmtp_assets_tests.storage.namespaces import REPOSITORY
from wmtp_assets_tests.storage.worlds import make

SPLIT, METADATA = "datasets/codecontests_train", "datasets/codecontests_train_metadata"
AT = "datasets_v2/codecontests"
LINKS = {
    f"{AT}/processed/train.jsonl": (SPLIT, "train.jsonl"),
    f"{AT}/processed/train.index.parquet": (SPLIT, "train.index.parquet"),
    f"{AT}/processed/train_metadata.json": (METADATA, "train_metadata.json"),
    f"{AT}/stats/train_stats.json": (SPLIT, "train_stats.json"),
}
SET = PublishedSet(SPLIT, LINKS, mounts=tuple(LINKS))


@pytest.fixture(scope="module")
def editions(small_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two folders, each with the files of one edition: other problems, and another number."""
    made = []
    for edition in (1, 2):
        folder = tmp_path_factory.mktemp(f"edition{edition}")
        problems = [problem(name=f"{at} of {edition}") for at in range(5 * edition)]
        shard = write_shard(tmp_path_factory.mktemp("shard") / "0.parquet", problems)
        report = build_codecontests([shard], small_tokenizer, folder, "train")
        write_metadata(report.index, folder / "train_metadata.json")
        made.append(folder)
    return made


def publish(store: Store, edition: Path) -> str:
    """Makes one edition current; its version."""
    data = {path.name: path.read_bytes() for path in edition.iterdir()}
    metadata = {"train_metadata.json": data.pop("train_metadata.json")}
    rows = make(store, SPLIT, data, {"upstream": edition.name})
    make(store, METADATA, metadata, {SPLIT: rows.digest})
    publication = store.publish(SET)
    assert publication is not None
    return publication.version


@pytest.fixture
def store(editions: list[Path], tmp_path: Path) -> Store:
    """A storage with both editions; the first is current."""
    store = Store(tmp_path / "storage")
    first = publish(store, editions[0])
    publish(store, editions[1])
    store.rollback(SPLIT, first)
    return store


def opened(store: Store) -> Corpus:
    return wmtp_assets.open_corpus(store.root, "codecontests", "train")


def swapped(store: Store) -> None:
    """Publishes the edition that is not current."""
    current = store.publication(SPLIT)
    (other,) = (one for one in store.publications(SPLIT) if one != current)
    store.rollback(SPLIT, other.version)


def expected(edition: Path) -> tuple[int, bytes, bytes]:
    lines = (edition / "train.jsonl").read_bytes().splitlines(keepends=True)
    return len(lines), lines[-1], (edition / "train_metadata.json").read_bytes()


def read(corpus: Corpus) -> tuple[int, bytes, bytes]:
    assert corpus[-1] == corpus.take([len(corpus) - 1])[0]
    return len(corpus), corpus.lines([len(corpus) - 1])[0], corpus.metadata.read_bytes()


def test_a_publication_between_two_files_is_not_seen(
    store: Store, editions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    check = file_set.check_quickly

    def while_something_is_published(*files: Any) -> None:
        swapped(store)
        check(*files)

    monkeypatch.setattr(file_set, "check_quickly", while_something_is_published)
    assert read(opened(store)) == expected(editions[0])
    assert read(opened(store)) == expected(editions[1])


def test_what_is_opened_later_is_of_the_same_edition(store: Store, editions: list[Path]) -> None:
    corpus = opened(store)
    text = pickle.dumps(corpus)
    swapped(store)
    assert read(corpus) == expected(editions[0])
    corpus.verify()
    again = pickle.loads(text)  # noqa: S301 (made above)
    assert read(again) == expected(editions[0])
    assert corpus.column("offset").tolist() == again.column("offset").tolist()
    assert read(opened(store)) == expected(editions[1])


def versions(store: Store) -> int:
    return len(store.publications(SPLIT)) + len(store.history(SPLIT)) + len(store.history(METADATA))


Kept = Callable[[Corpus], Any]
HELD: dict[str, Kept] = {
    "a corpus": lambda corpus: corpus,
    "an unpickled copy": lambda corpus: pickle.loads(pickle.dumps(corpus)),  # noqa: S301
    "a torch view": lambda corpus: corpus.torch_dataset(),
    "a datasets view": lambda corpus: corpus.hf_dataset(),
}


@pytest.mark.parametrize("what", HELD)
def test_gc_leaves_the_edition_of_whoever_reads(
    what: str, store: Store, editions: list[Path]
) -> None:
    if what != "a corpus":
        pytest.importorskip(
            {"a torch view": "torch", "a datasets view": "datasets"}.get(what, "os")
        )
    corpus = opened(store)
    kept = HELD[what](corpus)
    del corpus
    gc.collect()
    swapped(store)
    done = store.gc(keep=1)
    assert SPLIT in done.held
    assert versions(store) == 6
    row = kept[0]
    assert row
    del kept, row
    gc.collect()
    store.gc(keep=1)
    assert versions(store) == 3
    assert read(opened(store)) == expected(editions[1])


def test_a_forked_reader_keeps_its_edition_when_its_parent_is_done(
    store: Store, editions: list[Path]
) -> None:
    corpus = opened(store)
    here, there = multiprocessing.Pipe()
    pid = os.fork()
    if pid == 0:
        here.close()
        there.recv()
        there.send(read(corpus) == expected(editions[0]))
        os._exit(0)
    there.close()
    del corpus
    gc.collect()
    swapped(store)
    assert SPLIT in store.gc(keep=1).held
    here.send("now")
    assert here.recv() is True
    os.waitpid(pid, 0)
    store.gc(keep=1)
    assert versions(store) == 3


def test_a_pickle_whose_edition_is_gone_is_one_clear_error(store: Store) -> None:
    text = pickle.dumps(opened(store))
    gc.collect()
    swapped(store)
    store.gc(keep=1)
    with pytest.raises(CorpusError, match=r"not here any more.*open_corpus"):
        pickle.loads(text)  # noqa: S301 (made above)


def test_without_a_right_to_write_it_is_read_all_the_same(
    store: Store, editions: list[Path]
) -> None:
    (store.root / ".locks").rename(store.root / "hidden")
    (store.root / ".locks").write_bytes(b"no folder")
    assert read(opened(store)) == expected(editions[0])


def test_a_copy_that_followed_links_is_read_as_it_is(store: Store, editions: list[Path]) -> None:
    import shutil

    shutil.copytree(store.root / "datasets_v2", store.root.with_name("copy") / "datasets_v2")
    corpus = wmtp_assets.open_corpus(store.root.with_name("copy"), "codecontests", "train")
    assert read(corpus) == expected(editions[0])


def test_a_storage_behind_a_link_and_a_relative_one(
    store: Store, editions: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.root.with_name("link").symlink_to(store.root)
    monkeypatch.chdir(store.root.parent)
    for root in ("link", "storage", store.root.with_name("link")):
        corpus = wmtp_assets.open_corpus(root, "codecontests", "train")
        monkeypatch.chdir("/")
        assert read(pickle.loads(pickle.dumps(corpus))) == expected(editions[0])  # noqa: S301
        monkeypatch.chdir(store.root.parent)


PUBLISHER = """
import sys
from pathlib import Path
from wmtp_assets.storage import Store
store, name = Store(Path(sys.argv[1])), sys.argv[2]
versions = [one.version for one in store.publications(name)]
print("ready", flush=True)
while True:
    for version in versions:
        store.rollback(name, version)
        store.gc(keep=2)
"""


@contextmanager
def publishing(store: Store) -> Iterator[None]:
    """Another process publishes back and forth meanwhile."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PUBLISHER), str(store.root), SPLIT],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
        assert process.poll() is None, "it ended with an error"
    finally:
        process.kill()
        process.wait()


def opens(store: Store, editions: list[Path], times: int) -> None:
    known = [expected(edition) for edition in editions]
    seen = [0, 0]
    until = time.monotonic() + 240
    with publishing(store):
        # A busy machine may not let the other process publish meanwhile.
        while (sum(seen) < times or min(seen) == 0) and time.monotonic() < until:
            seen[known.index(read(opened(store)))] += 1
    assert min(seen) > 0, "the other edition was never met"


def test_every_open_during_publications_is_of_one_edition(
    store: Store, editions: list[Path]
) -> None:
    opens(store, editions, 500)


@pytest.mark.slow
def test_thousands_of_opens_during_publications(store: Store, editions: list[Path]) -> None:
    # Opening by the contract's paths, which meets two editions, fails within some ten opens.
    opens(store, editions, 5_000)
