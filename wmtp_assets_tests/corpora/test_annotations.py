"""What is found out about rows is joined with these rows and no others, and selected by."""

from __future__ import annotations

import gc
import json
import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wmtp_assets
from wmtp_assets.corpora.annotations import (
    SCHEMAS,
    AnnotationFile,
    AnnotationKind,
    write_annotation,
)
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.corpora.small_copy import select_small
from wmtp_assets.storage import PublishedSet, Store
from wmtp_assets_tests.corpora.conftest import build_codecontests, problem, write_shard
from wmtp_assets_tests.storage.worlds import make

ROWS = "datasets/codecontests_train"
SMALL = "datasets/codecontests_small_train"
AT = "datasets_v2/codecontests"
FILES = ("train.jsonl", "train.index.parquet")


def verdicts(rows: int) -> dict[str, Any]:
    """Every second row executed: passed, failed, passed, ..."""
    drawn = np.arange(0, rows, 2)
    return {
        "row": drawn,
        "verdict": ["passed" if at % 2 == 0 else "failed" for at in range(drawn.size)],
        "reason": [f"reason {at % 3}" for at in range(drawn.size)],
        "seconds": np.linspace(0.5, 1, drawn.size, dtype=np.float32),
        "memory": np.full(drawn.size, 1 << 33),
        "tests": np.full(drawn.size, 7),
        "several_answers": np.arange(drawn.size) % 2 == 0,
        "parses": np.ones(drawn.size, np.bool_),
    }


def leaks(rows: int) -> dict[str, Any]:
    """Two pairs of row 1, one of row 4."""
    columns: dict[str, Any] = {
        name: [f"{name} {at}" for at in range(3)] for name in SCHEMAS["leaks"].names
    }
    columns |= {"row": np.array([1, 1, 4]), "row_there": np.array([9, 7, 8])}
    return columns | {"score": np.ones(3, np.float32)}


def duplicates(rows: int) -> dict[str, Any]:
    """Rows 2 and 3, a correct and an incorrect one, are of one cluster; and so are 4 and 6."""
    cluster = np.arange(rows)
    cluster[[3, 6]] = 2, 4
    return {"cluster": cluster}


COLUMNS: Mapping[AnnotationKind, Callable[[int], dict[str, Any]]] = {
    "verdicts": verdicts,
    "leaks": leaks,
    "duplicates": duplicates,
}


@pytest.fixture(scope="module")
def editions(small_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two editions of a split, a right and a wrong solution of each problem in turn, with a small
    copy and every annotation in it."""
    made = []
    for edition in (1, 2):
        folder = tmp_path_factory.mktemp(f"edition{edition}")
        problems = [problem(name=f"{at} of {edition}") for at in range(4 + edition)]
        shard = write_shard(tmp_path_factory.mktemp("shard") / "0.parquet", problems)
        report = build_codecontests([shard], small_tokenizer, folder, "train")
        index = RowIndex(report.index)
        select_small(folder / "train.jsonl", report.index, folder, 7, seed=42)
        for kind, columns in COLUMNS.items():
            write_annotation(
                folder / f"train_{kind}.parquet", kind, columns(len(index)), index, {"n": 1}
            )
        made.append(folder)
    return made


def publish(store: Store, name: str, paths: Mapping[str, Path]) -> None:
    """Publish files at paths of the contract, as one artifact."""
    files = {path.name: path.read_bytes() for path in paths.values()}
    make(store, name, files, {"upstream": sha256(b"".join(files.values())).hexdigest()})
    links = {at: (name, path.name) for at, path in paths.items()}
    assert store.publish(PublishedSet(name, links, mounts=tuple(links))) is not None


def publish_rows(store: Store, edition: Path) -> None:
    publish(store, ROWS, {f"{AT}/processed/{name}": edition / name for name in FILES})


def annotate(store: Store, edition: Path, *kinds: AnnotationKind) -> None:
    for kind in kinds or COLUMNS:
        path = edition / f"train_{kind}.parquet"
        publish(store, f"{ROWS}_{kind}", {f"{AT}/quality/{path.name}": path})


@pytest.fixture
def store(editions: list[Path], tmp_path: Path) -> Store:
    """A storage with the first edition, its small copy and its annotations."""
    store = Store(tmp_path / "storage")
    publish_rows(store, editions[0])
    annotate(store, editions[0])
    small = [editions[0] / name.replace("train", "train_small") for name in FILES]
    place = "datasets_local_small/codecontests_small"
    publish(store, SMALL, {f"{place}/{path.name}": path for path in small})
    return store


def opened(store: Store, dataset: str = "codecontests") -> Corpus:
    return wmtp_assets.open_corpus(store.root, dataset, "train")


def test_columns_have_an_element_per_row(store: Store) -> None:
    corpus = opened(store)
    found = {
        name: corpus.column(name).tolist()
        for name in ("verdict", "verdict_reason", "verdict_tests")
    }
    assert found == {
        "verdict": ["passed", "", "failed", "", "passed", "", "failed", "", "passed", ""],
        "verdict_reason": [
            "reason 0",
            "",
            "reason 1",
            "",
            "reason 2",
            "",
            *["reason 0", ""],
            *["reason 1", ""],
        ],
        "verdict_tests": [7, -1] * 5,
    }
    assert corpus.column("verdict_memory").tolist() == [1 << 33, -1] * 5
    assert np.isnan(corpus.column("verdict_seconds")[1::2]).all()
    assert corpus.column("verdict_seconds")[::2].min() == 0.5
    assert corpus.column("several_answers").tolist() == [1, -1, 0, -1] * 2 + [1, -1]
    assert corpus.column("parses").tolist() == [1, -1] * 5
    assert np.flatnonzero(corpus.column("leaked")).tolist() == [1, 4]
    assert corpus.column("cluster").tolist() == [0, 1, 2, 2, 4, 5, 4, 7, 8, 9]
    assert corpus.annotations.file("leaks").table()["row_there"].to_pylist() == [9, 7, 8]
    assert corpus.annotations.file("duplicates").facts["n"] == 1


CONDITIONS: list[tuple[dict[str, Any], list[int]]] = [
    ({"verdict": "passed"}, [0, 4, 8]),
    ({"verdict": ["passed", "failed"]}, [0, 2, 4, 6, 8]),
    ({"verdict": ("failed", "")}, [1, 2, 3, 5, 6, 7, 9]),
    ({"verdict": "time"}, []),
    ({"leaked": True}, [1, 4]),
    ({"leaked": False}, [0, 2, 3, 5, 6, 7, 8, 9]),
    # Rows 4 and 6 are correct: the second is left out. 2 and 3 are of either class: both stay.
    ({"one_per_cluster": True}, [0, 1, 2, 3, 4, 5, 7, 8, 9]),
    ({"one_per_cluster": True, "leaked": False}, [0, 2, 3, 5, 6, 7, 8, 9]),
    ({"one_per_cluster": True, "correct": True, "verdict": "passed"}, [0, 4, 8]),
]


@pytest.mark.parametrize(("conditions", "rows"), CONDITIONS)
def test_rows_are_selected_by_what_was_found_out(
    store: Store, conditions: dict[str, Any], rows: list[int]
) -> None:
    corpus = opened(store)
    assert corpus.column("is_correct").tolist() == [1, 0] * 5
    assert corpus.select(**conditions).tolist() == rows


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ({"verdict": "right"}, r"passed, failed, time, memory, not_runnable"),
        ({"verdict": 3}, r"must name verdicts"),
        ({"verdict": ["passed", None]}, r"must name verdicts"),
        ({"leaked": 1}, r"True, False, or None"),
    ],
)
def test_a_condition_that_is_none_is_refused(
    store: Store, conditions: dict[str, Any], said: str
) -> None:
    with pytest.raises(CorpusError, match=said):
        opened(store).select(**conditions)


def test_a_small_copy_has_the_annotations_of_the_rows_it_is_chosen_from(
    store: Store, editions: list[Path]
) -> None:
    whole, small = opened(store), opened(store, "codecontests_small")
    assert len(small) == 7
    place = {row["task_id"]: at for at, row in enumerate(whole)}
    chosen = [place[row["task_id"]] for row in small]
    for name in ("verdict", "leaked", "cluster"):
        assert small.column(name).tolist() == whole.column(name)[chosen].tolist()
    publish_rows(store, editions[1])
    with pytest.raises(
        CorpusError,
        match=r"were chosen from is not here.*`wmtp materialize group:codecontests_small`",
    ):
        opened(store, "codecontests_small").column("leaked")


def test_without_an_annotation_it_is_said_what_makes_it(store: Store, tmp_path: Path) -> None:
    bare = Store(tmp_path / "bare")
    for path in ("versions", "published"):
        shutil.copytree(store.root / path, bare.root / path, symlinks=True)
    shutil.copytree(store.root / AT / "processed", bare.root / AT / "processed", symlinks=True)
    corpus = opened(bare)
    with pytest.raises(CorpusError) as error:
        corpus.column("cluster")
    assert "`wmtp materialize datasets/codecontests_train_duplicates`" in str(error.value)
    assert "`quality: {duplicates: [train]}`" in str(error.value)
    with pytest.raises(CorpusError, match=r"quality: \{execute: \{rows: \{train: all\}\}\}"):
        corpus.select(verdict="passed")
    with pytest.raises(CorpusError, match="train_leaks"):
        corpus.select(leaked=False)
    with pytest.raises(CorpusError, match=r"no such column.*cluster"):
        corpus.column("clusters")


def test_rows_of_todays_generation_are_named_as_such(editions: list[Path], tmp_path: Path) -> None:
    store = Store(tmp_path / "storage")
    place = "datasets/codecontests/processed"
    publish(store, f"{ROWS}_current", {f"{place}/{name}": editions[0] / name for name in FILES})
    with pytest.raises(CorpusError, match=r"`wmtp materialize \S+_train_current_leaks`"):
        wmtp_assets.open_corpus(store.root, "codecontests", "train", "current").column("leaked")


def test_an_annotation_of_other_rows_is_refused(store: Store, editions: list[Path]) -> None:
    annotate(store, editions[1], "duplicates")
    with pytest.raises(
        CorpusError, match=r"about other rows.*12 rows.*`wmtp materialize group:codecontests`"
    ):
        opened(store).column("cluster")
    publish_rows(store, editions[1])
    assert opened(store).column("cluster").size == 12
    with pytest.raises(CorpusError, match="about other rows"):
        opened(store).column("leaked")


def test_an_annotation_of_as_many_other_rows_is_refused(
    store: Store, editions: list[Path], tmp_path: Path
) -> None:
    index = RowIndex(editions[0] / "train.index.parquet")
    index.facts["jsonl"]["sha256"] = "0" * 64
    path = tmp_path / "train_leaks.parquet"
    write_annotation(path, "leaks", leaks(10), index)
    publish(store, f"{ROWS}_leaks", {f"{AT}/quality/{path.name}": path})
    with pytest.raises(CorpusError, match=r"about other rows.*SHA-256 0000"):
        opened(store).select(leaked=False)


def test_what_was_opened_stays_and_gc_leaves_it(store: Store, editions: list[Path]) -> None:
    corpus = opened(store)
    before = corpus.column("cluster").tolist()
    text = pickle.dumps(corpus)
    copy = pickle.loads(text)  # noqa: S301 (made above)
    publish_rows(store, editions[1])
    annotate(store, editions[1])
    del corpus
    gc.collect()
    done = store.gc(keep=1)
    assert {ROWS, f"{ROWS}_duplicates"} <= done.held.keys()
    assert copy.column("cluster").tolist() == before
    pid = os.fork()
    if pid == 0:
        copy._columns.clear()
        os._exit(0 if copy.column("cluster").tolist() == before else 1)
    assert os.waitpid(pid, 0)[1] == 0
    # An annotation that it has not opened by now is another's.
    with pytest.raises(CorpusError, match="Open the corpus anew"):
        copy.column("leaked")
    del copy
    gc.collect()
    store.gc(keep=1)
    with pytest.raises(CorpusError, match="not here any more"):
        pickle.loads(text)  # noqa: S301 (made above)


def test_a_small_copy_in_a_worker_keeps_the_split_it_is_chosen_from(
    store: Store, editions: list[Path]
) -> None:
    small = opened(store, "codecontests_small")
    before = small.column("cluster").tolist()
    text = pickle.dumps(pickle.loads(pickle.dumps(small)))  # noqa: S301 (made here)
    publish_rows(store, editions[1])
    annotate(store, editions[1])
    store.gc(keep=1)
    assert pickle.loads(text).column("cluster").tolist() == before  # noqa: S301 (made above)


def test_a_copy_without_links_is_read_with_its_annotations(store: Store, tmp_path: Path) -> None:
    shutil.copytree(store.root / "datasets_v2", tmp_path / "copy" / "datasets_v2")
    corpus = wmtp_assets.open_corpus(tmp_path / "copy", "codecontests", "train")
    assert corpus.select(leaked=True).tolist() == [1, 4]
    beside = Corpus(tmp_path / "copy" / AT / "processed" / "train.jsonl")
    assert beside.select(leaked=True).tolist() == [1, 4]


def test_samples_of_one_row_per_cluster(store: Store) -> None:
    corpus = opened(store)
    cluster, correct = corpus.column("cluster"), corpus.column("is_correct")
    met = set()
    for seed in range(40):
        rows = corpus.one_per_cluster(seed=seed)
        assert sorted(zip(cluster[rows], correct[rows], strict=True)) == sorted(
            set(zip(cluster, correct, strict=True))
        )
        assert (rows == corpus.one_per_cluster(seed=seed)).all()
        strict = corpus.one_per_cluster(seed=seed, per_class=False)
        assert sorted(cluster[strict]) == sorted(set(cluster))
        met |= set(strict.tolist())
    assert met == set(range(10)), "every row is drawn by some seed"
    among = corpus.one_per_cluster(seed=1, among=corpus.select(leaked=False, correct=True))
    assert sorted(among) == [0, 2, 6, 8]
    pairs = corpus.unique_pairs(4, seed=3, among=corpus.one_per_cluster(seed=3))
    assert len(np.unique(corpus.column("cluster")[pairs[:, 0]])) == 4


WRONG: list[tuple[AnnotationKind, dict[str, Any], str]] = [
    ("duplicates", {"cluster": np.arange(9)}, "a line for each of 10 rows"),
    ("duplicates", {"cluster": np.arange(10) + 1}, "the lowest row"),
    ("duplicates", {"row": np.arange(10)}, "not the columns of duplicates"),
    ("leaks", {"row": np.array([1, 4, 10])}, "numbers of 10 rows"),
    ("leaks", {"row": np.array([-1, 4, 9])}, "numbers of 10 rows"),
    ("leaks", {"row": np.array([4, 1, 9])}, "ascending"),
    ("leaks", {"how": ["verbatim", None, "renamed"]}, "no nulls"),
    ("verdicts", {"row": np.array([1, 1, 3, 4, 5])}, "each once"),
]


@pytest.mark.parametrize(("kind", "columns", "said"), WRONG)
def test_what_is_not_about_the_rows_is_not_written(
    editions: list[Path], tmp_path: Path, kind: AnnotationKind, columns: dict[str, Any], said: str
) -> None:
    index = RowIndex(editions[0] / "train.index.parquet")
    whole = columns if "row" in columns and kind == "duplicates" else COLUMNS[kind](10) | columns
    with pytest.raises(CorpusError, match=said):
        write_annotation(tmp_path / "x.parquet", kind, whole, index)
    assert list(tmp_path.iterdir()) == []


def test_the_same_lines_give_the_same_bytes(editions: list[Path], tmp_path: Path) -> None:
    index = RowIndex(editions[0] / "train.index.parquet")
    for kind, columns in COLUMNS.items():
        write_annotation(tmp_path / "again.parquet", kind, columns(10), index, {"n": 1})
        there = (editions[0] / f"train_{kind}.parquet").read_bytes()
        assert (tmp_path / "again.parquet").read_bytes() == there


def test_a_file_of_another_kind_or_a_damaged_one_is_refused(
    editions: list[Path], tmp_path: Path
) -> None:
    path = editions[0] / "train_leaks.parquet"
    with pytest.raises(CorpusError, match="not a file of duplicates"):
        AnnotationFile(path, "duplicates")
    data = bytearray(path.read_bytes())
    (tmp_path / "cut.parquet").write_bytes(data[:-20])
    with pytest.raises(CorpusError, match="not a file of leaks"):
        AnnotationFile(tmp_path / "cut.parquet", "leaks")
    table = pq.read_table(path).replace_schema_metadata({"wmtp": '{"about": {"rows": "10"}}'})
    pq.write_table(table, tmp_path / "other.parquet")
    with pytest.raises(CorpusError, match="key-value metadata"):
        AnnotationFile(tmp_path / "other.parquet", "leaks")


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_flipped_bit_is_refused_or_changes_no_value(
    editions: list[Path], tmp_path: Path, kind: AnnotationKind
) -> None:
    whole = (editions[0] / f"train_{kind}.parquet").read_bytes()
    table = AnnotationFile(editions[0] / f"train_{kind}.parquet", kind).table()
    refused = 0
    for at in range(0, len(whole), len(whole) // 150):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        (tmp_path / "flipped.parquet").write_bytes(data)
        try:
            assert AnnotationFile(tmp_path / "flipped.parquet", kind).table() == table, at
        except CorpusError:
            refused += 1
    assert refused


BAD_VALUES: Mapping[AnnotationKind, tuple[str, pa.Array, str]] = {
    "leaks": ("excerpt", pa.array([b"a", b"b", b"\xff"]).view(pa.string()), "UTF8"),
    "verdicts": (
        "verdict",
        pa.array(["passed"] * 4 + ["<b>"]).dictionary_encode(),
        "verdicts: passed, ",
    ),
}


@pytest.mark.parametrize("kind", BAD_VALUES)
def test_values_that_no_file_of_ours_has_are_refused(
    editions: list[Path], tmp_path: Path, kind: AnnotationKind
) -> None:
    name, values, said = BAD_VALUES[kind]
    file = AnnotationFile(editions[0] / f"train_{kind}.parquet", kind)
    table = file.table().replace_schema_metadata({"wmtp": json.dumps(file.facts)})
    at = table.schema.names.index(name)
    pq.write_table(table.set_column(at, table.field(name), values), tmp_path / "bad.parquet")
    with pytest.raises(CorpusError, match=said):
        AnnotationFile(tmp_path / "bad.parquet", kind).by_row(name)
