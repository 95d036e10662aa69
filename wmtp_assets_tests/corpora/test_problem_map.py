"""The current contract's metadata: equal to what reading and tokenizing every row gives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wmtp_assets.corpora import problem_metadata
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.problem_map import (
    ProblemIndexMap,
    ProblemRows,
    problem_of,
    problem_runs,
)
from wmtp_assets.corpora.problem_metadata import write_problem_metadata
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.report import SplitReport
from wmtp_assets.corpora.row_index import IndexWriter, RowIndex
from wmtp_assets.corpora.small_copy import select_small
from wmtp_assets_tests.corpora import reference
from wmtp_assets_tests.corpora.conftest import (
    build_codecontests,
    build_humaneval,
    problem,
    write_shard,
)

ODD_NAMES = [
    problem(name="x_correct_3", solutions=[(3, "a"), (3, "b b"), (2, "no row")]),
    problem(name="x", difficulty=12, incorrect_solutions=[]),
    problem(name="x_correct_3_incorrect_7", solutions=None, incorrect_solutions=[(1, "print 1")]),
    problem(name="_incorrect_0", difficulty=0),
    problem(name="twice", source=1),
    problem(name="twice", source=2, solutions=[(3, f"print({at})") for at in range(30)]),
    problem(name='Ж "q"\\ \u2028 𝄞\n', solutions=[(3, ""), (1, "print '≤'")]),
    problem(name=None, source=None),
]


def made(tmp_path: Path, tokenizer: Path, rows: list[dict[str, Any]]) -> SplitReport:
    shard = write_shard(tmp_path / "shard.parquet", rows)
    return build_codecontests([shard], tokenizer, tmp_path, "train")


def compared(report: SplitReport, tokenizer: Path) -> dict[str, Any]:
    """The document, after it was found to be the reference's."""
    out = report.jsonl.with_name("metadata.json")
    written = write_problem_metadata(report.index, report.jsonl, out)
    lines = report.jsonl.read_bytes().splitlines(keepends=True)
    assert out.read_bytes() == reference.problem_metadata(lines, tokenizer)
    document: dict[str, Any] = json.loads(out.read_bytes())
    data = out.read_bytes()
    expected = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    assert written == {**expected, "stats": document["stats"]}
    as_read = Corpus(report.jsonl).problem_index_map
    assert dict(as_read) == document["problem_index_map"]
    assert list(as_read) == as_read.ids == list(document["problem_index_map"])
    return document


@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_it_is_what_json_dump_writes_of_the_rows(
    trap_shards: list[Path],
    small_tokenizer: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    piece: int,
) -> None:
    monkeypatch.setattr(problem_metadata, "_PIECE", piece)
    monkeypatch.setattr(problem_metadata, "_AT_ONCE", min(piece + 6, 8192))
    report = build_codecontests(trap_shards, small_tokenizer, tmp_path, "train")
    document = compared(report, small_tokenizer)
    assert document["stats"]["has_problem_id"] is True
    assert 0 < document["stats"]["n_valid_problems"] < document["stats"]["n_problems"]


def test_problems_with_odd_names_keep_them(small_tokenizer: Path, tmp_path: Path) -> None:
    found = compared(made(tmp_path, small_tokenizer, ODD_NAMES), small_tokenizer)
    assert list(found["problem_index_map"]) == [
        "x_correct_3",
        "x",
        "x_correct_3_incorrect_7",
        "_incorrect_0",
        "twice@1",
        "twice@2",
        'Ж "q"\\ \u2028 𝄞\n',
        "",
    ]
    assert found["problem_index_map"]["x_correct_3"] == {
        "difficulty": 7,
        "correct_indices": [0, 1],
        "incorrect_indices": [2],
        "correct_token_lengths": found["problem_index_map"]["x_correct_3"]["correct_token_lengths"],
        "incorrect_token_lengths": [4],
    }


def test_a_small_copy_has_a_map_of_its_own_lines(small_tokenizer: Path, tmp_path: Path) -> None:
    whole = made(tmp_path, small_tokenizer, ODD_NAMES)
    small = select_small(whole.jsonl, whole.index, tmp_path / "small", 9, seed=3)
    found = compared(small, small_tokenizer)
    listed = [
        at
        for entry in found["problem_index_map"].values()
        for at in (*entry["correct_indices"], *entry["incorrect_indices"])
    ]
    assert sorted(listed) == list(range(9))


def test_a_split_without_rows_has_an_empty_map(small_tokenizer: Path, tmp_path: Path) -> None:
    rows = [problem(solutions=[], incorrect_solutions=None)]
    found = compared(made(tmp_path, small_tokenizer, rows), small_tokenizer)
    assert (found["metadata"], found["problem_index_map"]) == ([], {})
    assert not any(found["stats"][f"has_{name}"] for name in ("is_correct", "problem_id"))


def test_tasks_without_a_class_are_of_no_problem(small_tokenizer: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tasks = [
        {
            "task_id": task_id,  # also one that looks as if it named a class
            "prompt": "def f():\n",
            "canonical_solution": "    pass\n",
            "test": "def check(candidate): pass",
            "entry_point": "f",
        }
        for task_id in ("HumanEval/0", "f_correct_1")
    ]
    pq.write_table(pa.Table.from_pylist(tasks), tmp_path / "tasks.parquet")
    report = build_humaneval([tmp_path / "tasks.parquet"], small_tokenizer, tmp_path, "test")
    found = compared(report, small_tokenizer)
    assert (found["metadata"], found["problem_index_map"]) == ([{}, {}], {})
    assert found["stats"]["has_difficulty"] is False


@pytest.mark.parametrize(
    ("task_id", "name"),
    [
        ("a_correct_0", "a"),
        ("a_incorrect_12", "a"),
        ("a_correct_1_incorrect_2", "a_correct_1"),
        ("_correct_0", ""),
        ("a_correct_0\n", None),
        ("a_correct_", None),
        ("a_correct_٣", None),
        ("a_xcorrect_1", None),
        ("11", None),
    ],
)
def test_the_problem_of_a_task_id(task_id: str, name: str | None) -> None:
    assert problem_of(task_id) == name


def test_runs_of_task_ids_begin_where_the_problem_changes() -> None:
    ids = "a_correct_0 a_correct_1 a_incorrect_0 a_correct_ a_correct_ 1 2 b_correct_9 b_correct_10"
    assert list(problem_runs(ids.split(), 40)) == [(40, "a"), (43, None), (47, "b")]
    assert list(problem_runs(["", "_correct_0"], 0)) == [(0, None), (1, "")]
    assert list(problem_runs([], 0)) == []


# What no build gives.


def written(folder: Path, task_ids: list[str], problem: list[int]) -> tuple[Path, Path]:
    """A JSONL file of rows with these task ids, and an index that says of which problem each is."""
    lines = [json.dumps({"task_id": one, "output": ""}).encode() + b"\n" for one in task_ids]
    jsonl, index = folder / "rows.jsonl", folder / "rows.index.parquet"
    jsonl.write_bytes(b"".join(lines))
    lengths = np.array(list(map(len, lines)), np.int64)
    columns = {
        "problem": np.array(problem),
        "is_correct": np.arange(len(lines)) % 2 == 0,
        "output_tokens": np.arange(len(lines)),
        "offset": np.cumsum(lengths) - lengths,
        "length": lengths,
    }
    with index.open("wb") as file:
        writer = IndexWriter(file)
        writer.write(columns, len(lines))
        writer.close({})
    return index, jsonl


def test_lines_of_a_problem_may_be_apart(tmp_path: Path) -> None:
    ids = [f"{name}_correct_{at}" for at, name in enumerate("abacb")]
    index, jsonl = written(tmp_path, ids, [5, 1, 5, 9, 1])
    rows = ProblemRows.of_index(RowIndex(index), jsonl)
    found = dict(ProblemIndexMap(rows))
    assert list(found) == ["a", "b", "c"]
    assert found["a"]["correct_indices"] == found["a"]["correct_token_lengths"] == [0, 2]
    assert (found["b"]["correct_indices"], found["b"]["incorrect_indices"]) == ([4], [1])
    assert found["a"]["difficulty"] is None
    by_class = ProblemIndexMap(rows)
    assert by_class.rows("b").tolist() == [1, 4]
    assert by_class.rows("b", is_correct=False).tolist() == [1]


def test_rows_of_one_problem_may_be_problems_of_the_source(tmp_path: Path) -> None:
    index, jsonl = written(tmp_path, ["a_correct_0", "a_correct_1", "b_correct_0"], [0, 1, 2])
    found = ProblemIndexMap(ProblemRows.of_index(RowIndex(index), jsonl))
    assert [entry["correct_indices"] for entry in found.values()] == [[0], [2]]
    assert "c" not in found


CHANGED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "other names": (
        lambda path: path.write_bytes(path.read_bytes().replace(b"b_correct", b"c_correct", 1)),
        "of several problems.*'c'.*line 1.*'b_correct_0'.*line 2",
    ),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:50]), "does not describe this JSONL"),
    "no task id": (
        lambda path: path.write_bytes(path.read_bytes().replace(b"task_id", b"task_no")),
        "does not describe this JSONL",
    ),
}


@pytest.mark.parametrize("what", CHANGED)
def test_rows_that_the_index_does_not_describe_are_refused(what: str, tmp_path: Path) -> None:
    change, said = CHANGED[what]
    ids = ["a_correct_0", "b_correct_0", "b_correct_0"]
    index, jsonl = written(tmp_path, ids, [0, 1, 1])
    change(jsonl)
    with pytest.raises(CorpusError, match=f"(?s){said}"):
        write_problem_metadata(index, jsonl, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()
