"""Upstream's parquet with bytes changed anywhere: read as pyarrow reads it whole, or refused."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.codecontests.generator import SCHEMA
from wmtp_assets.corpora.records import Problem
from wmtp_assets_tests.corpora.conftest import CODE_CONTESTS, HUMANEVAL, MBPP, problem
from wmtp_assets_tests.corpora.reference import upstream_rows
from wmtp_assets_tests.corpora.test_evaluation_sets import (
    _HUMANEVAL,
    _MBPP,
    _humaneval_row,
    _mbpp_row,
)
from wmtp_assets_tests.fuzzing.harness import fuzz
from wmtp_assets_tests.fuzzing.mutations import mutate_bytes

pytestmark = pytest.mark.fuzz

_WAYS: tuple[dict[str, Any], ...] = (
    {"compression": "none"},
    {"compression": "none", "use_dictionary": False},
    {"compression": "snappy"},
    {"compression": "zstd", "data_page_version": "2.0"},
    {"compression": "gzip", "write_page_checksum": True},
    {"compression": "none", "row_group_size": 3, "store_schema": False},
)
_SOLUTIONS = [(3, "print(1)\n" * 3), (1, None), (2, "int main() {}"), (3, "")]
_CODE = [
    problem(name=f"p{at}", solutions=_SOLUTIONS[at % 3 :], difficulty=at) for at in range(6)
] + [problem(name="none", solutions=None, incorrect_solutions=None, public_tests=None)]
_COLUMNS = {
    "codecontests": ["description", "difficulty", "solutions", "incorrect_solutions"],
    "mbpp": ["text", "code"],
    "humaneval": ["prompt", "canonical_solution"],
}
_SETS: dict[str, tuple[Callable[[Sequence[Path]], Any], pa.Schema, list[dict[str, Any]]]] = {
    "codecontests": (CODE_CONTESTS.problems, SCHEMA, _CODE),
    "mbpp": (MBPP.problems, _MBPP, [_mbpp_row(task_id=at) for at in range(9)]),
    "humaneval": (
        HUMANEVAL.problems,
        _HUMANEVAL,
        [_humaneval_row(task_id=f"t{at}") for at in range(9)],
    ),
}


@pytest.mark.parametrize("dataset", _SETS)
def test_parquet(dataset: str, tmp_path: Path) -> None:
    read, schema, rows = _SETS[dataset]
    shard = tmp_path / "shard.parquet"
    files = []
    for way in _WAYS:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), shard, **way)
        files.append(shard.read_bytes())
    assert len(list(read([shard]))) == len(rows)

    def attempt(rng: random.Random) -> None:
        shard.write_bytes(_spoiled(rng, rng.choice(files)))
        found: list[Problem] = list(read([shard]))
        _compare(dataset, found, shard)

    # pyarrow takes what a damaged page states: at most half a gigabyte, and four pages at once.
    outcomes = fuzz(attempt, seconds_per_input=100, bytes_per_input=2 << 30)
    assert outcomes.read
    assert outcomes.refused


def _spoiled(rng: random.Random, data: bytes) -> bytes:
    """`data` changed in its pages, in its footer (whose length stays right), or anywhere."""
    size = int.from_bytes(data[-8:-4], "little")
    pages, footer = data[: -8 - size], data[-8 - size : -8]
    way = rng.random()
    if way < 0.45:
        footer = mutate_bytes(rng, footer)
    elif way < 0.9:
        pages = mutate_bytes(rng, pages).ljust(len(pages), b"\0")[: len(pages)]
    else:
        return mutate_bytes(rng, data)
    return pages + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def _compare(dataset: str, found: list[Problem], shard: Path) -> None:
    """Hold what was read against the file as pyarrow reads it whole, column by column."""
    plain = upstream_rows([shard], _COLUMNS[dataset])
    assert len(found) == len(plain)
    for one, row in zip(found, plain, strict=True):
        if dataset == "codecontests":
            assert one.instruction == (row["description"] or b"")
            assert one.difficulty == (row["difficulty"] or 0)
            for solutions, name in zip(
                one.solutions, ("solutions", "incorrect_solutions"), strict=True
            ):
                lists = row[name] or {"language": None, "solution": None}
                pairs = list(zip(lists["language"] or [], lists["solution"] or [], strict=True))
                wanted = [at for at, (language, _) in enumerate(pairs) if language in (1, 3)]
                assert solutions.texts == [pairs[at][1] for at in wanted]
                assert solutions.suffixes == list(map(str, wanted))
        else:
            text, code = ("text", "code") if dataset == "mbpp" else ("prompt", "canonical_solution")
            assert one.instruction == (row[text] or b"")
            assert one.solutions[0].texts == [row[code]]
