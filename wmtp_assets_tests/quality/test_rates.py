"""Rates of labels and their intervals, from lines that are written down here."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wmtp_assets.corpora.annotations import AnnotationFile, write_annotation
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.quality.rates import rates_document, wilson
from wmtp_assets_tests.corpora.conftest import (
    build_codecontests,
    build_humaneval,
    problem,
    write_shard,
)


# By the tables of Newcombe (1998) and Agresti and Coull (1998), and by statsmodels' `wilson`.
@pytest.mark.parametrize(
    ("agree", "judged", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (1, 29, 0.0061, 0.1718),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilsons_interval(agree: int, judged: int, low: float, high: float) -> None:
    found = wilson(agree, judged)
    assert found == pytest.approx((low, high), abs=6e-5)
    if judged:
        assert found[0] <= agree / judged <= found[1]


def test_an_interval_covers_as_often_as_it_says() -> None:
    """The exact coverage, summed over all outcomes of 200 rows at several true shares."""
    for share in (0.03, 0.3, 0.5, 0.81, 0.97):
        covered = sum(
            math.comb(200, agree) * share**agree * (1 - share) ** (200 - agree)
            for agree in range(201)
            if wilson(agree, 200)[0] <= share <= wilson(agree, 200)[1]
        )
        assert 0.92 < covered < 0.98


PROBLEMS = [
    problem(
        name="1_A. One",
        source=2,
        difficulty=7,
        solutions=[(3, "print(1)"), (3, "print(2)"), (1, "print 3")],
        incorrect_solutions=[(3, "print(4)"), (3, "print(5)")],
    ),
    problem(
        name="p2 Two",
        source=6,
        difficulty=0,
        solutions=[(3, "print(6)")],
        incorrect_solutions=[(3, "print(7)")],
    ),
    problem(name="3_A. Three", solutions=[(3, "print(8)")], incorrect_solutions=[(3, "print(9)")]),
]
# row, verdict, several answers, parses
LINES: list[tuple[int, str, bool, bool]] = [
    (0, "passed", False, True),
    (1, "time", False, True),
    (2, "not_runnable", False, False),
    (3, "failed", False, True),
    (4, "passed", False, True),
    (5, "passed", False, True),
    (6, "memory", False, True),
    (7, "failed", True, True),
    (8, "failed", True, False),
]


def columns_of(lines: list[tuple[int, str, bool, bool]]) -> dict[str, list[Any]]:
    rows, verdicts, several, parses = map(list, zip(*lines, strict=True))
    return {
        "row": rows,
        "verdict": verdicts,
        "reason": [
            {"passed": "", "not_runnable": "Python 2: no interpreter"}.get(v, v) for v in verdicts
        ],
        "seconds": [0.5] * len(rows),
        "memory": [1 << 20] * len(rows),
        "tests": [3] * len(rows),
        "several_answers": several,
        "parses": parses,
    }


@pytest.fixture(scope="module")
def corpus(small_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("rates")
    shard = write_shard(folder / "shard.parquet", PROBLEMS)
    return Corpus(build_codecontests([shard], small_tokenizer, folder / "out", "valid").jsonl)


def document_of(
    corpus: Corpus, lines: list[tuple[int, str, bool, bool]], path: Path
) -> dict[str, Any]:
    write_annotation(path, "verdicts", columns_of(lines), corpus.row_index, {"executed": True})
    return rates_document(AnnotationFile(path, "verdicts"), corpus, "code-contests")


def test_rates_by_class_source_and_difficulty(corpus: Corpus, tmp_path: Path) -> None:
    found = document_of(corpus, LINES, tmp_path / "valid_verdicts.parquet")
    assert found["about"]["rows"] == found["drawn"] == len(corpus) == 9
    assert found["verdicts"] == {
        "correct": {"passed": 2, "failed": 1, "time": 1, "memory": 0, "not_runnable": 1},
        "incorrect": {"passed": 1, "failed": 2, "time": 0, "memory": 1, "not_runnable": 0},
    }
    by = {(one["by"], one["value"], one["class"]): one for one in found["rates"]}
    counts = {key: (one["agree"], one["judged"]) for key, one in by.items()}
    assert counts == {
        ("all", None, "correct"): (2, 3),
        ("all", None, "incorrect"): (2, 3),
        ("source", 2, "correct"): (1, 2),
        ("source", 2, "incorrect"): (1, 2),
        ("source", 6, "correct"): (1, 1),
        ("source", 6, "incorrect"): (1, 1),
        ("difficulty", 0, "correct"): (1, 1),
        ("difficulty", 0, "incorrect"): (1, 1),
        ("difficulty", 7, "correct"): (1, 2),
        ("difficulty", 7, "incorrect"): (1, 2),
        ("language", 3, "correct"): (2, 3),
        ("language", 3, "incorrect"): (2, 3),
    }
    every = by["all", None, "correct"]
    assert (every["rate"], every["low"], every["high"]) == (0.666667, 0.20766, 0.938508)
    assert found["apart"] == {
        "several_answers": {"correct": 1, "incorrect": 1},
        "not_runnable": {"correct": 0, "incorrect": 0},
        "python2": {"correct": 1, "incorrect": 0},
    }
    assert found["parses"] == {
        "correct": {"yes": 4, "no": 1},
        "incorrect": {"yes": 3, "no": 1},
    }
    assert found["reasons"] == {"Python 2: no interpreter": 1}
    assert found["failing"] == []
    assert all(one["protocol"] for one in found["published"])
    json.dumps(found, allow_nan=False)


def test_of_a_sample_only_its_rows_count(corpus: Corpus, tmp_path: Path) -> None:
    found = document_of(corpus, LINES[:2], tmp_path / "valid_verdicts.parquet")
    assert found["drawn"] == 2
    assert {one["class"] for one in found["rates"]} == {"correct"}


def test_nothing_that_ran_has_no_rate(corpus: Corpus, tmp_path: Path) -> None:
    lines = [(row, "not_runnable", False, True) for row in range(9)]
    found = document_of(corpus, lines, tmp_path / "valid_verdicts.parquet")
    assert [(one["by"], one["rate"], one["judged"]) for one in found["rates"]] == [
        ("all", None, 0),
        ("all", None, 0),
    ]


def test_references_that_fail_are_named(small_tokenizer: Path, tmp_path: Path) -> None:
    texts = {
        "task_id": ["HumanEval/0", "HumanEval/1"],
        "prompt": ["def f():\n", "def g():\n"],
        "canonical_solution": ["    return 1\n", "    return 2\n"],
        "test": ["def check(c):\n    assert c() == 1\n"] * 2,
        "entry_point": ["f", "g"],
    }
    shard = tmp_path / "test.parquet"
    pq.write_table(pa.table(texts), shard)
    built = build_humaneval([shard], small_tokenizer, tmp_path / "out", "test")
    rows = Corpus(built.jsonl)
    lines = [(0, "passed", False, True), (1, "failed", False, True)]
    path = tmp_path / "test_verdicts.parquet"
    write_annotation(path, "verdicts", columns_of(lines), rows.row_index)
    found = rates_document(AnnotationFile(path, "verdicts"), rows, "humaneval")
    assert found["failing"] == [
        {"row": 1, "task_id": "HumanEval/1", "verdict": "failed", "reason": "failed"}
    ]
    (every,) = (one for one in found["rates"] if one["by"] == "all")
    assert (every["class"], every["agree"], every["judged"]) == ("rows", 1, 2)
    assert found["published"] == []
