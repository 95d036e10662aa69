"""MBPP and HumanEval go through the same record, writer, metadata and index."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wmtp_assets.corpora import (
    build_humaneval,
    build_mbpp,
    prove_metadata,
    prove_split,
    write_metadata,
)
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets_tests.corpora import reference
from wmtp_assets_tests.corpora.conftest import real, rows_of

_MBPP = pa.schema(
    [
        ("task_id", pa.int32()),
        ("text", pa.string()),
        ("code", pa.string()),
        ("test_list", pa.list_(pa.string())),
        ("test_setup_code", pa.string()),
        ("challenge_test_list", pa.list_(pa.string())),
    ]
)
_HUMANEVAL = pa.schema(
    [
        (name, pa.string())
        for name in ("task_id", "prompt", "canonical_solution", "test", "entry_point")
    ]
)
_SPLITS = {"test": (11, 510, 500), "validation": (511, 600, 90), "train": (601, 974, 374)}


@pytest.mark.parametrize("split", _SPLITS)
def test_real_mbpp_gives_every_row_of_its_split(
    real_tokenizer: Path, tmp_path: Path, split: str
) -> None:
    first, last, count = _SPLITS[split]
    upstream = [json.loads(line) for line in real("mbpp/mbpp.jsonl").open()]
    upstream = [row for row in upstream if first <= row["task_id"] <= last]
    shard = tmp_path / "shard.parquet"
    pq.write_table(pa.Table.from_pylist(upstream, schema=_MBPP), shard)
    report = build_mbpp([shard], real_tokenizer, tmp_path, split)
    expected = [
        json.dumps(
            {
                "instruction": row["text"],
                "input": "",
                "output": row["code"],
                "task_id": str(row["task_id"]),
                "test_list": row["test_list"],
                "test_setup_code": row["test_setup_code"],
                "metadata": {"source": "mbpp", "difficulty": None, "has_tests": True},
            }
        )
        for row in upstream
    ]
    assert report.jsonl.read_bytes().decode().split("\n") == [*expected, ""]
    assert (report.rows, report.correct, report.incorrect) == (count, None, None)
    _prove(report.jsonl, report.index, "mbpp", real_tokenizer, count)


def test_real_humaneval_gives_all_164_rows(real_tokenizer: Path, tmp_path: Path) -> None:
    with gzip.open(real("humaneval/HumanEval.jsonl.gz"), "rt", encoding="utf-8") as file:
        upstream = [json.loads(line) for line in file]
    shard = tmp_path / "shard.parquet"
    pq.write_table(pa.Table.from_pylist(upstream, schema=_HUMANEVAL), shard)
    report = build_humaneval([shard], real_tokenizer, tmp_path, "test")
    expected = [
        json.dumps(
            {
                "instruction": row["prompt"],
                "input": "",
                "output": row["canonical_solution"],
                "task_id": row["task_id"],
                "test": row["test"],
                "entry_point": row["entry_point"],
                "metadata": {"source": "humaneval", "difficulty": None, "has_tests": True},
            }
        )
        for row in upstream
    ]
    assert report.jsonl.read_bytes().decode().split("\n") == [*expected, ""]
    _prove(report.jsonl, report.index, "humaneval", real_tokenizer, 164)


def _prove(jsonl: Path, index: Path, dataset: str, tokenizer: Path, rows: int) -> None:
    metadata = jsonl.with_name(f"{jsonl.stem}_metadata.json")
    write_metadata(index, metadata)
    lines = jsonl.read_bytes().splitlines(keepends=True)
    assert metadata.read_bytes() == reference.metadata(lines)
    assert json.loads(metadata.read_bytes())["metadata"][0] == {"difficulty": None}
    findings = prove_split(jsonl, dataset, tokenizer=tokenizer, rows=rows)
    findings += prove_metadata(metadata, jsonl)
    assert [finding for finding in findings if not finding.passed] == []
    assert list(Corpus(jsonl)) == rows_of(jsonl)


def _mbpp_row(**given: Any) -> dict[str, Any]:
    row = {
        "task_id": 1,
        "text": "Add.",
        "code": "def add(a, b):\r\n\treturn a + b",
        "test_list": ["assert add(1, 2) == 3"],
        "test_setup_code": "",
        "challenge_test_list": [],
    }
    return row | given


def test_mbpp_rows_keep_carriage_returns_and_setup_code(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    shard = tmp_path / "shard.parquet"
    rows = [_mbpp_row(), _mbpp_row(task_id=2, test_setup_code="x = add", code=None)]
    pq.write_table(pa.Table.from_pylist(rows, schema=_MBPP), shard)
    report = build_mbpp([shard], small_tokenizer, tmp_path, "train")
    (row,) = rows_of(report.jsonl)
    assert row["output"] == "def add(a, b):\r\n\treturn a + b"
    assert "is_correct" not in row
    assert report.stats["funnel"]["null_solutions"] == 1
