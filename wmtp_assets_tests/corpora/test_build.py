"""The build gives the reference's bytes, whatever upstream holds and however many processes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.codecontests.generator import SCHEMA, write_shards
from wmtp_assets.corpora import worker_pool
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.records import unique_names
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.corpora.tokens import TokenCounter
from wmtp_assets.corpora.worker import SLOT_BYTES
from wmtp_assets_tests.corpora import reference
from wmtp_assets_tests.corpora.conftest import (
    build_codecontests,
    problem,
    real,
    rows_of,
    write_shard,
)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_traps_give_the_reference_bytes(
    trap_shards: list[Path],
    tokenizer: Path,
    tmp_path: Path,
    processes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_pool, "UNITS_ALONE", 1)
    monkeypatch.setattr("wmtp_assets.corpora.units.UNIT_BYTES", 2000)
    report = build_codecontests(trap_shards, tokenizer, tmp_path, "train", processes=processes)
    expected = reference.codecontests(trap_shards, tokenizer)
    assert report.jsonl.read_bytes().split(b"\n") == b"".join(expected).split(b"\n")
    assert report.rows == len(expected)


def test_generated_shards_give_the_reference_bytes(small_tokenizer: Path, tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "hub", 8 / 13_328)
    report = build_codecontests(shards, small_tokenizer, tmp_path, "train")
    assert report.jsonl.read_bytes() == b"".join(reference.codecontests(shards, small_tokenizer))


def test_the_real_row_gives_its_python_rows(real_tokenizer: Path, tmp_path: Path) -> None:
    shards = [real("code_contests/valid-00000-of-00001.parquet")]
    report = build_codecontests(shards, real_tokenizer, tmp_path, "valid")
    assert report.jsonl.read_bytes() == b"".join(reference.codecontests(shards, real_tokenizer))
    assert [row["task_id"] for row in rows_of(report.jsonl)] == [
        *(f"1553_A. Digits Sum_correct_{at}" for at in (0, 3, 4, 5)),
        *(f"1553_A. Digits Sum_incorrect_{at}" for at in range(1, 10)),
    ]
    assert (report.rows, report.correct, report.incorrect) == (13, 4, 9)


def test_the_generator_writes_upstreams_schema() -> None:
    file = pq.ParquetFile(real("code_contests/valid-00000-of-00001.parquet"))
    assert SCHEMA.equals(file.schema_arrow.remove_metadata())


def test_a_row_of_exactly_the_limit_stays_and_one_token_more_goes(
    tokenizer: Path, tmp_path: Path
) -> None:
    counter = TokenCounter(tokenizer)
    row = problem()
    shared = counter.encoded(row["description"])
    shared += counter.encoded("Input: 1 2\n\nOutput: 3\n")
    left = 2048 - shared
    # A digit is a token, and the dummy prefix is one; newlines and words in other ways.
    texts = ["1" * (left - 1), "1" * left, "\n" * (left - 1), "\n" * left, "1" * (left - 2) + "é"]
    assert [counter.encoded(text) <= left for text in texts[:4]] == [True, False, True, False]
    shard = write_shard(
        tmp_path / "shard.parquet",
        [problem(solutions=[(3, text) for text in texts], incorrect_solutions=[])],
    )
    report = build_codecontests([shard], tokenizer, tmp_path, "train")
    kept = [row["output"] for row in rows_of(report.jsonl)]
    assert kept == [text for text in texts if counter.encoded(text) <= left]
    assert max(map(counter.encoded, kept)) + shared == 2048


def test_the_funnel_counts_what_became_of_every_candidate(
    trap_shards: list[Path], small_tokenizer: Path, tmp_path: Path
) -> None:
    report = build_codecontests(trap_shards, small_tokenizer, tmp_path, "train")
    funnel: dict[str, int] = report.stats["funnel"]
    assert funnel["problems"] == 16
    assert funnel["problems_without_candidates"] == 2
    assert funnel["null_solutions"] == 1
    assert funnel["rows_with_empty_output"] == 2
    assert funnel["rows_with_empty_instruction"] == 2
    assert funnel["problems_of_shared_names"] == 3
    assert funnel["problems_repaired"] == 1
    assert funnel["rows_repaired"] == 3
    assert funnel["candidates"] == funnel["kept"] + sum(
        funnel[name] for name in ("null_solutions", "too_long_by_bound", "too_long_by_count")
    )
    for name in ("candidates", "kept", "null_solutions", "too_long_by_count", "other_languages"):
        assert funnel[name] == funnel[f"{name}_correct"] + funnel[f"{name}_incorrect"], name
    rows = rows_of(report.jsonl)
    assert funnel["kept_correct"] == sum(row["is_correct"] for row in rows)
    assert report.stats["difficulty_dist"]["28"] == 2
    assert sum(report.stats["source_dist"].values()) == report.rows


def test_the_row_index_describes_every_line(
    trap_shards: list[Path], tokenizer: Path, tmp_path: Path
) -> None:
    report = build_codecontests(trap_shards, tokenizer, tmp_path, "train")
    counter = TokenCounter(tokenizer)
    text = report.jsonl.read_bytes()
    rows = rows_of(report.jsonl)
    table = RowIndex(report.index).table().to_pylist()
    assert len(table) == len(rows)
    for found, row in zip(table, rows, strict=True):
        line = text[found["offset"] : found["offset"] + found["length"]]
        assert json.loads(line) == row
        assert line.endswith(b"}\n")
        assert found["is_correct"] is row["is_correct"]
        assert found["difficulty"] == row["metadata"]["difficulty"]
        for name in ("instruction", "input", "output"):
            assert found[f"{name}_tokens"] == counter.encoded(row[name])
        assert bool(found["flags"] & 1) == ("\ufffd" in row["instruction"] + row["output"])
        assert bool(found["flags"] & 2) == (row["output"].strip() == "")
        assert bool(found["flags"] & 8) == (row["instruction"].strip() == "")
        assert bool(found["flags"] & 4) == row["task_id"].startswith("same@")
    by_name = {row["task_id"]: found for found, row in zip(table, rows, strict=True)}
    assert by_name["1_A. Sum_correct_0"]["cf_rating"] == 800
    assert by_name["languages_correct_1"]["language"] == 1
    assert by_name["third source_correct_0"]["source"] == 6
    assert report.files["train.jsonl"] == hashlib.sha256(text).hexdigest()


def test_task_ids_stay_unique_and_plain_names_plain() -> None:
    names = ["a", "b", "b", "c", "c", "c", "c@1", "d@2.0", "d", "d"]
    sources = [1, 1, 2, 1, 2, 2, 9, 9, 2, 2]
    found = unique_names(names, sources)
    assert found == [
        "a",
        "b@1",
        "b@2",
        "c@1.0",
        "c@2.0",
        "c@2.1",
        "c@1",
        "d@2.0",
        "d@2.1",
        "d@2.2",
    ]
    assert len(set(found)) == len(found)


def test_tests_that_no_row_needs_are_never_decoded(small_tokenizer: Path, tmp_path: Path) -> None:
    shard = write_shard(
        tmp_path / "shard.parquet", [problem(generated_tests={"input": ["7"] * 99, "output": []})]
    )
    whole = build_codecontests([shard], small_tokenizer, tmp_path, "whole")
    group = pq.ParquetFile(shard).metadata.row_group(0)
    data = bytearray(shard.read_bytes())
    for at in range(group.num_columns):
        column = group.column(at)
        if column.path_in_schema.startswith(("generated_tests", "private_tests")):
            begin = column.dictionary_page_offset or column.data_page_offset
            data[begin : begin + column.total_compressed_size] = (
                b"\xff" * column.total_compressed_size
            )
    shard.write_bytes(data)
    assert build_codecontests([shard], small_tokenizer, tmp_path, "blind").rows == whole.rows
    assert (tmp_path / "blind.jsonl").read_bytes() == whole.jsonl.read_bytes()


def _renamed(table: pa.Table) -> pa.Table:
    return table.rename_columns(
        ["statement" if name == "description" else name for name in table.column_names]
    )


def _retyped(table: pa.Table) -> pa.Table:
    at = table.schema.get_field_index("difficulty")
    return table.set_column(at, "difficulty", table["difficulty"].cast(pa.string()))


def _not_parallel(table: pa.Table) -> pa.Table:
    at = table.schema.get_field_index("solutions")
    wrong = [{"language": [3, 3], "solution": ["one"]}] * table.num_rows
    return table.set_column(at, "solutions", pa.array(wrong, table.schema.field(at).type))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda table: table.drop_columns(["public_tests"]), "public_tests"),
        (_renamed, "description"),
        (_retyped, "difficulty"),
        (_not_parallel, "solutions"),
    ],
    ids=["missing", "renamed", "retyped", "not parallel"],
)
def test_a_shard_of_another_shape_is_refused_by_name(
    small_tokenizer: Path, tmp_path: Path, change: Any, named: str
) -> None:
    shard = write_shard(tmp_path / "shard.parquet", [problem()])
    pq.write_table(change(pq.read_table(shard)), shard)
    with pytest.raises(CorpusError, match=named) as refusal:
        build_codecontests([shard], small_tokenizer, tmp_path / "out", "train")
    assert str(shard) in str(refusal.value)


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "absent"])
def test_a_damaged_shard_is_refused_and_leaves_nothing(
    small_tokenizer: Path, tmp_path: Path, damage: str
) -> None:
    shard = write_shard(tmp_path / "shard.parquet", [problem()] * 50)
    data = bytearray(shard.read_bytes())
    if damage == "cut":
        shard.write_bytes(data[: len(data) // 2])
    elif damage == "empty":
        shard.write_bytes(b"")
    elif damage == "absent":
        shard.unlink()
    else:
        data[4:200] = bytes(196)
        shard.write_bytes(data)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(CorpusError) as refusal:
        build_codecontests([shard], small_tokenizer, out, "train")
    assert str(shard) in str(refusal.value)
    assert list(out.iterdir()) == []


def test_a_killed_worker_is_one_clear_error_and_leaves_nothing(
    trap_shards: list[Path], small_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "UNITS_ALONE", 0)
    monkeypatch.setattr("wmtp_assets.corpora.units.UNIT_BYTES", 2000)
    send = worker_pool._Worker.send

    def send_and_kill(worker: worker_pool._Worker, unit: list[Any]) -> None:
        send(worker, unit)
        os.kill(worker._process.pid, signal.SIGKILL)

    monkeypatch.setattr(worker_pool._Worker, "send", send_and_kill)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(CorpusError, match="exit status -9"):
        build_codecontests(trap_shards, small_tokenizer, out, "train", processes=2)
    assert list(out.iterdir()) == []


def test_lines_that_do_not_fit_the_shared_memory_come_all_the_same(
    small_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "UNITS_ALONE", 0)
    # Each unit and each answer is far larger than what a socket holds: neither side may wait for
    # the other to read before it reads itself.
    rows = [
        problem(
            name=f"p{at}",
            description="word " * 300,
            solutions=[(3, f"print({k})" + " " * 100) for k in range(6000)],
        )
        for at in range(6)
    ]
    shard = write_shard(tmp_path / "shard.parquet", rows)
    one = build_codecontests([shard], small_tokenizer, tmp_path, "one", processes=1)
    two = build_codecontests([shard], small_tokenizer, tmp_path, "two", processes=2)
    assert one.stats["jsonl"]["bytes"] > 6 * SLOT_BYTES
    assert one.jsonl.read_bytes() == two.jsonl.read_bytes()


def test_no_shards_is_said_so(small_tokenizer: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="No shards"):
        build_codecontests([], small_tokenizer, tmp_path, "train")


def test_progress_tells_how_far_it_is(
    trap_shards: list[Path], small_tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wmtp_assets.progress._LINE_EVERY", 0.0)
    told: list[str] = []
    build_codecontests(trap_shards, small_tokenizer, tmp_path, "train", log=told.append)
    assert "16 of 16 problems" in told[-1]


@pytest.mark.parametrize("max_tokens", [0, -1, 1 << 16])
def test_a_limit_that_the_row_index_cannot_hold_is_refused(
    small_tokenizer: Path, tmp_path: Path, max_tokens: int
) -> None:
    shard = write_shard(tmp_path / "shard.parquet", [problem(description="a " * 70_000)])
    with pytest.raises(CorpusError, match="65,535"):
        build_codecontests([shard], small_tokenizer, tmp_path, "train", max_tokens=max_tokens)


def test_the_greatest_limit_holds_rows_of_as_many_tokens(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    counter = TokenCounter(small_tokenizer)
    shared = counter.encoded("Add two numbers.") + counter.encoded("Input: 1 2\n\nOutput: 3\n")
    most = (1 << 16) - 1
    shard = write_shard(
        tmp_path / "shard.parquet",
        [problem(solutions=[(3, "\n" * (most - shared - 1)), (3, "\n" * (most - shared))])],
    )
    report = build_codecontests([shard], small_tokenizer, tmp_path, "train", max_tokens=most)
    assert report.correct == 1
    assert report.stats["tokens"]["total_tokens"]["max"] == most
