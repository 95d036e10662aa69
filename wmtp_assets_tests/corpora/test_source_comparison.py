"""Splits against their sources: upstream's oddities are no differences, empty splits are splits,
and layouts of the same data read alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wmtp_assets.corpora import source_comparison as checks
from wmtp_assets.corpora.build import build_split
from wmtp_assets.corpora.checks import check_split
from wmtp_assets.corpora.metadata import write_metadata
from wmtp_assets.corpora.metadata_checks import check_metadata
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.report import SplitReport, stats_bytes
from wmtp_assets.corpora.row_index import SCHEMA, RowIndex
from wmtp_assets.corpora.small_copy import select_small
from wmtp_assets.corpora.source_comparison import (
    SplitSource,
    check_rebuilt,
    check_small,
    check_source,
)
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets_tests.corpora.conftest import BY_LABEL, problem, real, write_shard

MBPP = pa.schema(
    [
        ("task_id", pa.int32()),
        ("text", pa.string()),
        ("code", pa.string()),
        ("test_list", pa.list_(pa.string())),
        ("test_setup_code", pa.string()),
    ]
)
HUMANEVAL = pa.schema(
    [
        (name, pa.string())
        for name in ("task_id", "prompt", "canonical_solution", "test", "entry_point")
    ]
)


class Made:
    """A split with its metadata, and its source."""

    def __init__(
        self, dataset: str, shards: list[Path], tokenizer: Path, out: Path, max_tokens: int = 2048
    ) -> None:
        dataset_format = BY_LABEL[dataset]
        self.source = SplitSource(dataset_format, "train", shards, tokenizer, max_tokens)
        self.report: SplitReport = build_split(
            dataset_format, shards, tokenizer, out, "train", max_tokens=max_tokens
        )
        self.metadata = out / "train_metadata.json"
        write_metadata(self.report.index, self.metadata)

    def wrong(self) -> list[str]:
        """Everything that any proof has against it."""
        findings = check_split(
            self.report.jsonl,
            self.source.format,
            tokenizer=self.source.tokenizer,
            rows=self.report.rows,
            correct=self.report.correct,
            incorrect=self.report.incorrect,
            max_tokens=self.source.max_tokens,
        )
        findings += check_metadata(self.metadata, self.report.jsonl)
        findings += [
            check_source(self.report.jsonl, self.source),
            check_rebuilt(self.report.jsonl, self.source, self.metadata),
        ]
        return [f"{f.name}: {f.found}" for f in findings if not f.passed and f.blocking]


@pytest.mark.parametrize("limit", [2048, 120, 60])
@pytest.mark.parametrize("small", [64 << 20, 0])
def test_upstreams_oddities_are_no_differences(
    trap_shards: list[Path],
    tokenizer: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    small: int,
) -> None:
    monkeypatch.setattr(checks, "SMALL_SOURCE", small)
    made = Made("codecontests", trap_shards, tokenizer, tmp_path / "out", limit)
    assert made.report.rows > 0
    assert made.wrong() == []


def test_real_problems_are_as_their_source_has_them(
    real_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = real("code_contests/valid-00000-of-00001.parquet")
    for small in (64 << 20, 0):
        monkeypatch.setattr(checks, "SMALL_SOURCE", small)
        made = Made("codecontests", [shard], real_tokenizer, tmp_path / str(small))
        assert made.report.rows > 0
        assert made.wrong() == []


def test_real_tasks_of_mbpp_are_as_their_source_has_them(
    real_tokenizer: Path, tmp_path: Path
) -> None:
    lines = real("mbpp/mbpp.jsonl").read_text("utf-8").splitlines()
    rows = [{key: json.loads(line)[key] for key in MBPP.names} for line in lines]
    shard = write_shard(tmp_path / "mbpp.parquet", rows, MBPP)
    made = Made("mbpp", [shard], real_tokenizer, tmp_path / "out")
    assert made.report.rows == len(rows)
    assert made.wrong() == []


def structs_as_lists(table: pa.Table) -> pa.Table:
    """solutions as list<struct> instead of struct<list>, their fields in the other order."""
    for name in ("solutions", "incorrect_solutions"):
        rows = [
            None
            if row is None
            else [
                {"solution": text, "language": language}
                for language, text in zip(row["language"] or [], row["solution"] or [], strict=True)
            ]
            for row in table[name].to_pylist()
        ]
        kind = pa.list_(pa.struct([("solution", pa.string()), ("language", pa.int64())]))
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, pa.array(rows, kind))
    return table


def large_texts(table: pa.Table) -> pa.Table:
    at = table.schema.get_field_index("description")
    return table.set_column(at, "description", table["description"].cast(pa.large_string()))


def dictionaries(table: pa.Table) -> pa.Table:
    at = table.schema.get_field_index("description")
    return table.set_column(at, "description", table["description"].dictionary_encode())


@pytest.mark.parametrize("layout", [structs_as_lists, large_texts, dictionaries])
def test_other_layouts_of_the_same_data_compare_equal(
    small_tokenizer: Path, tmp_path: Path, layout: Callable[[pa.Table], pa.Table]
) -> None:
    rows = [problem(name=f"p{at}", solutions=[(3, f"x = {at}"), (2, "c")]) for at in range(20)]
    shard = write_shard(tmp_path / "shard.parquet", rows)
    made = Made("codecontests", [shard], small_tokenizer, tmp_path / "out")
    pq.write_table(layout(pq.read_table(shard)), shard)
    assert check_source(made.report.jsonl, made.source).passed


def test_several_row_groups_and_shards_are_one_split(
    small_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = []
    for number in range(3):
        rows = [problem(name=f"p{number}.{at}", solutions=[(3, f"x = {at}")]) for at in range(30)]
        shard = write_shard(tmp_path / f"{number}.parquet", rows)
        pq.write_table(pq.read_table(shard), shard, row_group_size=7)
        shards.append(shard)
    made = Made("codecontests", shards, small_tokenizer, tmp_path / "out")
    assert made.wrong() == []
    monkeypatch.setattr(checks, "SMALL_SOURCE", 0)
    for seed in range(10):
        finding = check_source(made.report.jsonl, made.source, seed)
        assert finding.passed, finding.found
        assert finding.details["problems"] in (14, 9, 4), seed  # groups of 7, and of 2


# Empty splits.


def empty(dataset: str, folder: Path) -> Path:
    if dataset == "codecontests":
        return write_shard(folder / "empty.parquet", [])
    schema = MBPP if dataset == "mbpp" else HUMANEVAL
    return write_shard(folder / "empty.parquet", [], schema)


@pytest.mark.parametrize("dataset", ["codecontests", "mbpp", "humaneval"])
def test_a_split_of_no_problems_passes_and_answers(
    dataset: str, small_tokenizer: Path, tmp_path: Path
) -> None:
    made = Made(dataset, [empty(dataset, tmp_path)], small_tokenizer, tmp_path / "out")
    check_empty(made, tmp_path)


def test_a_split_of_which_every_row_is_too_long_passes_and_answers(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    shard = write_shard(tmp_path / "shard.parquet", [problem(name=f"p{i}") for i in range(9)])
    made = Made("codecontests", [shard], small_tokenizer, tmp_path / "out", max_tokens=1)
    check_empty(made, tmp_path)
    assert made.report.stats["funnel"]["candidates"] == 18


def check_empty(made: Made, tmp_path: Path) -> None:
    assert made.report.rows == 0
    assert made.wrong() == []
    corpus = Corpus(made.report.jsonl)
    corpus.verify()
    assert len(corpus) == 0
    assert list(corpus.take(corpus.select())) == []
    assert corpus.select(difficulty=(1, 11)).size == 0
    out = tmp_path / "small"
    small = select_small(made.report.jsonl, made.report.index, out, 5, 1)
    assert small.rows == 0
    found = check_small(small.jsonl, made.report.jsonl, made.report.index, 5, 1)
    assert found.passed, found.found


def test_a_row_index_that_ends_with_an_empty_row_group_is_read_and_passes(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    shard = write_shard(tmp_path / "shard.parquet", [problem(name=f"p{i}") for i in range(9)])
    made = Made("codecontests", [shard], small_tokenizer, tmp_path / "out")
    index = made.report.index
    old = pq.ParquetFile(index)
    table, facts = old.read(), old.metadata.metadata[b"wmtp"]
    for groups in ((table, table.slice(0, 0)), (table.slice(0, 0), table), (table[:4], table[4:])):
        with pq.ParquetWriter(index, SCHEMA) as writer:
            for group in groups:
                writer.write_table(group)
            writer.add_key_value_metadata({b"wmtp": facts})
        assert pq.ParquetFile(index).metadata.num_row_groups == 2
        stats = json.loads(made.report.stats_file.read_bytes())
        stats["index"] = {"sha256": sha256_file(index), "bytes": index.stat().st_size}
        made.report.stats_file.write_bytes(stats_bytes(stats))
        assert made.wrong() == []
        corpus = Corpus(made.report.jsonl)
        corpus.verify()
        assert len(list(corpus.take(corpus.select()))) == 18
        assert [row for row, *_ in RowIndex(index).ends()] == [0, 17]


def test_a_build_writes_no_empty_row_group(small_tokenizer: Path, tmp_path: Path) -> None:
    rows = [problem(name=f"p{i}") for i in range(5)]
    rows += [problem(name=f"long {i}", description="word " * 3000) for i in range(300)]
    shard = write_shard(tmp_path / "shard.parquet", rows)
    made = Made("codecontests", [shard], small_tokenizer, tmp_path / "out")
    metadata = pq.ParquetFile(made.report.index).metadata
    assert [metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)] == [10]
    assert np.all(RowIndex(made.report.index).column("problem") < 5)
