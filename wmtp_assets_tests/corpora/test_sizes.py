"""Splits whose size is just below, at and just above what is handled at once give the same rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.codecontests.generator import SCHEMA
from wmtp_assets.corpora.checks import check_split
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.source_comparison import SMALL_SOURCE, SplitSource, check_source
from wmtp_assets.corpora.worker import SLOT_BYTES
from wmtp_assets_tests.corpora.conftest import (
    CODE_CONTESTS,
    MBPP,
    build_codecontests,
    build_mbpp,
    problem,
    rows_of,
    write_shard,
)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_one_problem_of_as_many_lines_as_a_block_and_a_workers_memory_hold(
    small_tokenizer: Path, tmp_path: Path, more: int
) -> None:
    """Its lines are made by a worker process, checked in blocks and read back: of 8 MiB each."""
    description = "the number of integers " * 250
    head = len(_line(description, 0, ""))
    texts = [""] * ((SLOT_BYTES + more) // head - 1)
    left = (
        SLOT_BYTES + more - sum(len(_line(description, at, text)) for at, text in enumerate(texts))
    )
    last = _line(description, len(texts), "")
    texts.append(("number " * 1200)[: left - len(last)])
    lines = b"".join(_line(description, at, text) for at, text in enumerate(texts))
    assert len(lines) == SLOT_BYTES + more
    shard = write_shard(
        tmp_path / "shard.parquet",
        [
            problem(
                name="n",
                description=description,
                public_tests={"input": [], "output": []},
                solutions=[(3, text) for text in texts],
                incorrect_solutions=[],
            )
        ],
    )
    report = build_codecontests([shard], small_tokenizer, tmp_path, "train", processes=2)
    assert report.jsonl.read_bytes() == lines
    findings = check_split(report.jsonl, CODE_CONTESTS, tokenizer=small_tokenizer, rows=len(texts))
    assert [each.name for each in findings if each.blocking and not each.passed] == []
    corpus = Corpus(report.jsonl)
    assert b"".join(corpus.lines(range(len(corpus)))) == lines


def _line(description: str, at: int, text: str) -> bytes:
    row = {
        "instruction": description,
        "input": "",
        "output": text,
        "task_id": f"n_correct_{at}",
        "is_correct": True,
        "metadata": {"source": "code_contests", "difficulty": 7, "has_tests": False},
    }
    return json.dumps(row).encode() + b"\n"


@pytest.mark.parametrize("tasks", [1, 255, 256, 257, 1023, 1025])
def test_a_split_of_as_many_tasks_as_are_decoded_together(
    small_tokenizer: Path, tmp_path: Path, tasks: int
) -> None:
    rows: list[dict[str, Any]] = [
        {
            **{"task_id": at, "text": f"Add {at}.", "code": f"{at}", "test_list": ["assert True"]},
            "test_setup_code": "",
        }
        for at in range(tasks)
    ]
    shard = tmp_path / "shard.parquet"
    pq.write_table(pa.Table.from_pylist(rows), shard, row_group_size=512)
    report = build_mbpp([shard], small_tokenizer, tmp_path, "test", processes=1)
    assert [row["task_id"] for row in rows_of(report.jsonl)] == [str(at) for at in range(tasks)]
    source = SplitSource(MBPP, "test", [shard], small_tokenizer, 2048)
    assert check_source(report.jsonl, source).passed


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_source_is_compared_whole_up_to_its_limit_and_by_a_sample_beyond(
    small_tokenizer: Path, tmp_path: Path, more: int
) -> None:
    shard = tmp_path / "shard.parquet"
    table = pa.Table.from_pylist([problem(), problem(name="other")], schema=SCHEMA)
    padding = SMALL_SOURCE + more
    for _ in range(4):  # the file is as much larger as it is padded, but for some lengths in it
        padded = table.append_column("padding", pa.array([b"x" * padding, b""]))
        plain = {"use_dictionary": False, "compression": "none", "write_statistics": False}
        pq.write_table(padded, shard, **plain)
        padding += SMALL_SOURCE + more - shard.stat().st_size
    assert shard.stat().st_size == SMALL_SOURCE + more
    report = build_codecontests([shard], small_tokenizer, tmp_path, "train", processes=1)
    source = SplitSource(CODE_CONTESTS, "train", [shard], small_tokenizer, 2048)
    finding = check_source(report.jsonl, source, seed=1)
    assert finding.passed, finding.found
    assert ("all of them" in str(finding.found)) == (more <= 0)
    assert ("a sample" in str(finding.found)) == (more > 0)


def test_names_are_unique_across_what_is_read_of_them_at_once(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    count = 4097  # names are read 4,096 at a time, problems four at a time
    problems = [problem(name=f"p{at % 4096}", source=at // 4096) for at in range(count)]
    shard = write_shard(tmp_path / "shard.parquet", problems)
    report = build_codecontests([shard], small_tokenizer, tmp_path, "train", processes=1)
    ids = [row["task_id"].rpartition("_in")[0] for row in rows_of(report.jsonl)[1::2]]
    assert ids == ["p0@0", *(f"p{at}" for at in range(1, 4096)), "p0@1"]
    source = SplitSource(CODE_CONTESTS, "train", [shard], small_tokenizer, 2048)
    assert check_source(report.jsonl, source).passed
