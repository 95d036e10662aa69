"""Any row at once, in any process, and only from files that belong together."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wmtp_assets
from wmtp_assets.cli import main
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.metadata import write_metadata
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.samplers import Stage
from wmtp_assets.corpora.small_copy import select_small
from wmtp_assets.storage.file_systems import FileSystem
from wmtp_assets_tests.corpora.conftest import build_codecontests, rows_of


@pytest.fixture
def storage(trap_shards: list[Path], small_tokenizer: Path, tmp_path: Path) -> Path:
    root = tmp_path / "storage"
    processed = root / "datasets_v2/codecontests/processed"
    report = build_codecontests(trap_shards, small_tokenizer, processed, "train")
    write_metadata(report.index, processed / "train_metadata.json")
    small = root / "datasets_local_small/codecontests_small"
    chosen = select_small(report.jsonl, report.index, small, 20, seed=1)
    write_metadata(chosen.index, small / "train_small_metadata.json")
    return root


@pytest.fixture
def corpus(storage: Path) -> Corpus:
    return wmtp_assets.open_corpus(storage, "codecontests", "train")


@pytest.mark.parametrize("small", [0, 1 << 30], ids=["read by position", "mapped"])
def test_rows_are_what_json_loads_makes_of_the_lines(
    corpus: Corpus, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wmtp_assets.corpora.local_lines._SMALL", small)
    rows = rows_of(corpus.jsonl)
    assert len(corpus) == len(rows)
    assert [corpus[at] for at in range(len(corpus))] == rows
    assert [list(row) for row in corpus] == [list(row) for row in rows]
    assert corpus[-1] == rows[-1]
    assert corpus[3:9] == rows[3:9]
    assert corpus[::-7] == rows[::-7]
    assert corpus[[5, 1]] == [rows[5], rows[1]]


def test_lines_are_not_kept_until_all_rows_are_there(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "_span", 1)
    steps = []
    read_all, parsed = corpus._source.read_all, corpus._parser.row

    def read(ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
        for line in read_all(ranges):
            steps.append("read")
            yield line

    def row(problem: int, line: bytes) -> dict[str, Any]:
        steps.append("parsed")
        return parsed(problem, line)

    monkeypatch.setattr(corpus._source, "read_all", read)
    monkeypatch.setattr(corpus._parser, "row", row)
    assert corpus.take([4, 2, 9]) == [rows_of(corpus.jsonl)[at] for at in (4, 2, 9)]
    assert steps == ["read", "parsed"] * 3


@pytest.mark.parametrize(
    ("mmap", "local", "wanted"),
    [(True, False, True), (False, True, False), (None, True, True), (None, False, False)],
)
def test_rows_are_mapped_where_that_is_asked_for_or_the_disk_is_of_this_machine(
    mmap: bool | None,
    local: bool,
    wanted: bool,
    storage: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = FileSystem("ext4" if local else "nfs4", Path("/"))
    monkeypatch.setattr("wmtp_assets.corpora.local_lines.file_system_of", lambda path: found)
    opened = wmtp_assets.open_corpus(storage, "codecontests", "train", mmap=mmap)
    for corpus in (opened, pickle.loads(pickle.dumps(opened))):  # noqa: S301
        assert corpus[0] == rows_of(corpus.jsonl)[0]
        assert (str(corpus.jsonl) in Path("/proc/self/maps").read_text("utf-8")) is wanted
        del corpus._places, corpus._source


def test_rows_are_right_when_their_problem_was_forgotten(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wmtp_assets.corpora.row_parser._KEPT_BYTES", 10)
    rows = rows_of(corpus.jsonl)
    order = [at * 17 % len(rows) for at in range(3 * len(rows))]
    assert [corpus[at] for at in order] == [rows[at] for at in order]


def test_changing_a_row_changes_no_other(corpus: Corpus) -> None:
    rows = rows_of(corpus.jsonl)
    for read in (lambda at: corpus[at], lambda at: corpus.take([at])[0]):
        for at in (*range(len(rows)), *range(len(rows))):
            row = read(at)
            assert row == rows[at]
            row["metadata"]["difficulty"] = -1
            row["is_correct"] = None


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["dense", "plain"])
@pytest.mark.parametrize("at", [3, 4])
def test_a_line_of_another_layout_is_still_read_as_json(
    corpus: Corpus, at: int, separators: tuple[str, str]
) -> None:
    rows = rows_of(corpus.jsonl)
    begin, size = (int(corpus.column(name)[at]) for name in ("offset", "length"))
    record = {"task_id": rows[at]["task_id"], **rows[at]}
    line = json.dumps(record, separators=separators).encode().ljust(size - 1) + b"\n"
    text = corpus.jsonl.read_bytes()
    corpus.jsonl.write_bytes(text[:begin] + line + text[begin + size :])
    assert [corpus[each] for each in range(len(rows))] == rows
    assert list(corpus[at]) == list(record)


def test_take_gives_rows_in_the_order_asked_for_and_reads_each_stretch_once(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(corpus.jsonl)
    wanted = [9, 2, 2, 30, len(rows) - 1, -1, 0]
    reads: list[tuple[int, int]] = []
    pread = os.pread

    def counted(file: int, size: int, offset: int) -> bytes:
        reads.append((offset, size))
        return pread(file, size, offset)

    monkeypatch.setattr(os, "pread", counted)
    assert corpus.take(wanted) == [rows[at] for at in wanted]
    assert len(reads) == 1
    reads.clear()
    monkeypatch.setattr(Corpus, "_gap", 0)
    assert corpus.take(np.array(wanted)) == [rows[at] for at in wanted]
    lengths = corpus.column("length")
    assert sorted(size for _, size in reads)[0] == lengths[[0, 2, 9, 30, -1]].min()
    assert [offset for offset, _ in reads] == sorted(offset for offset, _ in reads)


@pytest.mark.parametrize("at", [10**9, -(10**9)])
def test_rows_that_are_not_there_are_index_errors(corpus: Corpus, at: int) -> None:
    with pytest.raises(IndexError):
        corpus[at]
    with pytest.raises(IndexError):
        corpus.take([0, at])


def test_select_meets_every_condition(corpus: Corpus) -> None:
    rows = rows_of(corpus.jsonl)
    found = corpus.select(correct=False, difficulty=(1, 11))
    assert found.tolist() == [
        at
        for at, row in enumerate(rows)
        if not row["is_correct"] and 1 <= row["metadata"]["difficulty"] <= 11
    ]
    assert corpus.select(difficulty=(19, 28)).size == sum(
        row["metadata"]["difficulty"] >= 19 for row in rows
    )
    assert (corpus.column("source")[corpus.select(sources=[6, 7])] >= 6).all()
    assert set(corpus.column("language")[corpus.select(languages=[1])]) == {1}
    total = corpus.column("total_tokens")
    assert (total[corpus.select(tokens=(10, 60))] <= 60).all()
    assert corpus.select(output_tokens=(0, 0)).size == 1
    assert corpus.select(cf_rating=(1, 4000)).size < len(corpus)
    assert corpus.select(problems=[0]).size == 2


def test_flagged_rows_can_be_left_out(corpus: Corpus) -> None:
    rows = rows_of(corpus.jsonl)
    found = corpus.select(exclude=[0, 4], exclude_flagged=True)
    kept = {int(at) for at in found}
    assert not kept & {0, 4}
    for at, row in enumerate(rows):
        texts = row["instruction"], row["output"]
        bad = any("\ufffd" in text or not text.strip() for text in texts)
        assert (at in kept) == (not bad and at not in (0, 4))


def test_samplers_work_from_the_corpus(corpus: Corpus) -> None:
    among = corpus.select(difficulty=(1, 11))
    sample = corpus.balanced(20, among=among, seed=3)
    assert corpus.column("is_correct")[sample].sum() == 10
    assert np.isin(sample, among).all()
    assert corpus.balanced(20, among=among, seed=3).tolist() == sample.tolist()
    by_length = corpus.binned(8, {(0, 60): 1.0, (61, 2048): 1.0}, by="total_tokens", seed=3)
    assert (corpus.column("total_tokens")[by_length] <= 60).sum() == 4
    stages = [Stage(0.5, {(1, 7): 1.0}), Stage(1.0, {(7, 11): 1.0})]
    assert corpus.curriculum(20, stages, seed=3, share=0.5).size == 20
    pairs = corpus.pairs(5, seed=3)
    problem = corpus.column("problem")
    assert (problem[pairs[:, 0]] == problem[pairs[:, 1]]).all()


def test_an_unknown_column_is_refused_with_the_known_ones(corpus: Corpus) -> None:
    with pytest.raises(CorpusError, match="total_tokens"):
        corpus.column("colour")


def _digest_of_rows(corpus: Corpus, queue: Any) -> None:
    queue.put(json.dumps(list(corpus)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_corpus_works_in_another_process(corpus: Corpus, method: Any) -> None:
    expected = json.dumps(list(corpus))
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    children = [context.Process(target=_digest_of_rows, args=(corpus, queue)) for _ in range(2)]
    for child in children:
        child.start()
    here = [json.dumps(list(corpus)) for _ in range(3)]
    assert [queue.get(timeout=240) for _ in children] == [expected] * 2
    assert here == [expected] * 3
    for child in children:
        child.join()


def test_a_pickled_corpus_is_its_paths(corpus: Corpus) -> None:
    corpus.column("offset")
    text = pickle.dumps(corpus)
    assert len(text) < 1000
    again = pickle.loads(text)  # noqa: S301 (made two lines above)
    assert list(again) == list(corpus)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_dataloader_with_workers_gives_every_row_once(corpus: Corpus, method: str) -> None:
    from torch.utils.data import DataLoader

    dataset = corpus.torch_dataset(range(0, len(corpus), 2))
    loader = DataLoader(
        dataset, batch_size=7, num_workers=2, collate_fn=list, multiprocessing_context=method
    )
    found = [row for batch in loader for row in batch]
    assert found == corpus[::2]
    assert dataset[1] == corpus[2]


def test_a_datasets_view_reads_the_same_rows_and_copies_nothing(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = corpus.hf_dataset([4, 0, 9])
    assert len(view) == 3
    assert [view[at] for at in range(3)] == [corpus[4], corpus[0], corpus[9]]
    assert view[:2]["task_id"] == [corpus[4]["task_id"], corpus[0]["task_id"]]
    words = view.map(lambda row: {"words": len(row["output"].split()), "input": "-"})
    wanted = {**corpus[0], "words": len(corpus[0]["output"].split()), "input": "-"}
    assert words[1] == wanted
    alone = view.map(lambda row: {"size": len(row["output"])}, remove_columns=view.column_names)
    assert alone[1] == {"size": len(corpus[0]["output"])}
    assert view.shuffle(seed=1)[0] in [corpus[4], corpus[0], corpus[9]]
    assert len(corpus.hf_dataset()) == len(corpus)


@pytest.mark.parametrize(
    "condition",
    [
        {"correct": 1},
        {"correct": "false"},
        {"difficulty": (11, 1)},
        {"difficulty": 3},
        {"difficulty": (1, float("nan"))},
        {"tokens": ("0", "9")},
        {"output_tokens": (1, 2, 3)},
        {"cf_rating": (True, 9)},
        {"languages": 3},
        {"languages": "13"},
        {"sources": [1.0]},
        {"problems": [True]},
        {"problems": [None]},
    ],
    ids=str,
)
def test_a_condition_that_makes_no_sense_is_refused(
    corpus: Corpus, condition: dict[str, Any]
) -> None:
    with pytest.raises(CorpusError, match="What to do"):
        corpus.select(**condition)


def test_a_condition_may_be_of_numpys_numbers(corpus: Corpus) -> None:
    plain = corpus.select(difficulty=(1, 11), languages=[3])
    found = corpus.select(difficulty=(np.int16(1), np.int64(11)), languages=np.array([3]))
    assert found.tolist() == plain.tolist()
    assert corpus.select(languages=[]).size == 0


def test_the_small_corpus_opens_by_its_name(storage: Path) -> None:
    small = wmtp_assets.open_corpus(str(storage), "codecontests_small", "train")
    assert len(small) == 20
    assert small[0] in list(wmtp_assets.open_corpus(storage, "codecontests", "train"))


@pytest.mark.parametrize("file", ["train.jsonl", "train_metadata.json", "train.index.parquet"])
def test_a_file_of_another_split_is_refused_by_name(storage: Path, file: str) -> None:
    processed = storage / "datasets_v2/codecontests/processed"
    small = storage / "datasets_local_small/codecontests_small"
    (processed / file).write_bytes((small / file.replace("train", "train_small")).read_bytes())
    with pytest.raises(CorpusError, match="belong"):
        wmtp_assets.open_corpus(storage, "codecontests", "train")


def test_a_file_of_the_same_size_is_refused_when_its_ends_differ(storage: Path) -> None:
    jsonl = storage / "datasets_v2/codecontests/processed/train.jsonl"
    jsonl.write_bytes(jsonl.read_bytes().replace(b'"is_correct": true,', b'"is_correct":false,'))
    with pytest.raises(CorpusError, match="line 0"):
        wmtp_assets.open_corpus(storage, "codecontests", "train")


@pytest.mark.parametrize("file", ["train.jsonl", "train_metadata.json"])
def test_verify_finds_one_flipped_bit_in_the_middle(storage: Path, file: str) -> None:
    path = storage / "datasets_v2/codecontests/processed" / file
    corpus = wmtp_assets.open_corpus(storage, "codecontests", "train")
    corpus.verify()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorpusError, match=file):
        corpus.verify()


@pytest.mark.parametrize(
    ("below", "dataset", "split", "said"),
    [
        ("", "codecontests", "validation", "Found: 'validation'; there is train"),
        ("", "codecontests_small", "valid", "Found: 'valid'; there is train"),
        ("", "code_contests", "train", "Found: 'code_contests'; there is codecontests"),
        ("datasets_v2", "codecontests", "train", "the folder above datasets_v2 or datasets"),
        ("datasets_v2/codecontests", "codecontests", "train", "the folder above datasets_v2 or"),
        ("datasets_local_small", "codecontests_small", "train", "above datasets_local_small"),
        ("elsewhere", "codecontests", "train", "materialize the split"),
    ],
)
def test_a_corpus_that_is_not_there_is_one_clear_error(
    storage: Path, below: str, dataset: str, split: str, said: str
) -> None:
    with pytest.raises(CorpusError, match="no such split") as refusal:
        wmtp_assets.open_corpus(storage / below, dataset, split)
    assert said in str(refusal.value)


def test_of_a_copy_of_links_the_error_names_the_command_that_helps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    processed = tmp_path / "datasets/codecontests/processed"
    processed.mkdir(parents=True)
    for name in ("train.jsonl", "train.index.parquet"):
        (processed / name).symlink_to(f"../../../published/a/current/{name}")
    with pytest.raises(CorpusError, match="a broken link") as refusal:
        wmtp_assets.open_corpus(tmp_path, "codecontests", "train")
    assert f"`wmtp doctor {processed}`" in str(refusal.value)
    assert main(["doctor", str(processed)]) == 1
    assert "rsync -aL" in capsys.readouterr().out


def test_of_another_generation_the_error_says_where_rows_would_be(storage: Path) -> None:
    with pytest.raises(CorpusError, match="no such split") as refusal:
        wmtp_assets.open_corpus(storage, "codecontests", "train", "current")
    assert "Found: no datasets in it, but datasets_v2" in str(refusal.value)
    (storage / "datasets/codecontests").mkdir(parents=True)
    with pytest.raises(CorpusError, match=r"there is codecontests\. Where"):  # once
        wmtp_assets.open_corpus(storage, "code_contests", "train")


def test_importing_the_package_imports_nothing_heavy_and_reading_no_dagster() -> None:
    script = (
        "import sys, wmtp_assets, wmtp_assets.corpora\n"
        "assert not {'numpy', 'pyarrow', 'torch', 'sentencepiece'} & set(sys.modules)\n"
        "wmtp_assets.open_corpus\n"
        "heavy = {'dagster', 'torch', 'datasets', 'pandas', 'pandera', 'sentencepiece'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
