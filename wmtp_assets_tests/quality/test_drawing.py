"""The sample of rows to execute: in proportion, the same for a seed, each larger one around it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wmtp_assets.corpora.row_index import SCHEMA, IndexWriter, RowIndex
from wmtp_assets.quality.drawing import STRATA, drawn_rows
from wmtp_assets.storage.atomic import atomic_write

SEED = 42


def index_of(path: Path, columns: dict[str, Any]) -> RowIndex:
    rows = len(columns["problem"])
    with atomic_write(path) as file:
        writer = IndexWriter(file)
        given = {name: np.zeros(rows, np.int64) for name in SCHEMA.names} | columns
        writer.write(given, rows)
        writer.close({"jsonl": {}})
    return RowIndex(path)


def columns_of(rows: int, seed: int = 1) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    return {
        "problem": np.sort(draw.integers(0, rows // 7, rows)),
        "is_correct": draw.random(rows) < 0.4,
        "source": draw.choice([2, 3, 6], rows, p=[0.9, 0.09, 0.01]),
        "difficulty": draw.integers(7, 12, rows),
        "language": draw.choice([1, 3], rows, p=[0.2, 0.8]),
    }


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> RowIndex:
    return index_of(tmp_path_factory.mktemp("index") / "train.index.parquet", columns_of(5000))


def strata_of(index: RowIndex, rows: Any) -> Counter[tuple[int, ...]]:
    values = [index.column(name)[rows].tolist() for name in STRATA]
    return Counter(zip(*values, strict=True))


@pytest.mark.parametrize("wanted", [1, 50, 777, 4999])
def test_a_sample_has_its_size_and_every_stratum_its_share(index: RowIndex, wanted: int) -> None:
    rows = drawn_rows(index, wanted, SEED)
    assert rows.size == np.unique(rows).size == wanted
    assert np.array_equal(rows, np.sort(rows))
    every = strata_of(index, np.arange(len(index)))
    drawn = strata_of(index, rows)
    for stratum, count in every.items():
        assert abs(drawn[stratum] - count * wanted / len(index)) < 1, stratum


def test_a_larger_sample_contains_the_smaller(index: RowIndex) -> None:
    before: set[int] = set()
    for wanted in (1, 2, 10, 100, 500, 1234, 5000):
        rows = set(drawn_rows(index, wanted, SEED).tolist())
        assert before <= rows
        before = rows


def test_the_seed_decides_and_nothing_else(index: RowIndex) -> None:
    again = RowIndex(index.path)
    assert np.array_equal(drawn_rows(index, 300, SEED), drawn_rows(again, 300, SEED))
    other = drawn_rows(index, 300, 7)
    shared = np.intersect1d(drawn_rows(index, 300, SEED), other).size
    assert shared < 60  # 18 by chance
    # Written down: another version of the code that draws others executes everything again.
    assert drawn_rows(index, 5, SEED).tolist() == [2917, 3256, 3278, 3375, 3708]


def test_all_are_all(index: RowIndex) -> None:
    for wanted in ("all", 5000, 10**9):
        assert drawn_rows(index, wanted, SEED).tolist() == list(range(5000))


def test_rows_of_other_problems_change_only_the_proportions(
    index: RowIndex, tmp_path: Path
) -> None:
    columns = columns_of(5000)
    # A twentieth more rows, of new problems and the same strata.
    more = {name: np.concatenate([values, values[:250]]) for name, values in columns.items()}
    more["problem"][5000:] += 10_000
    longer = index_of(tmp_path / "longer.index.parquet", more)
    before, after = (set(drawn_rows(one, 500, SEED).tolist()) for one in (index, longer))
    kept = {row for row in after if row < 5000}
    assert len(kept - before) <= 3  # rounding
    assert len(kept) > 460


def test_no_row_is_drawn_of_an_empty_split(tmp_path: Path) -> None:
    empty = index_of(tmp_path / "empty.index.parquet", {"problem": np.zeros(0, np.int64)})
    assert drawn_rows(empty, 10, SEED).size == 0
    assert drawn_rows(empty, "all", SEED).size == 0
