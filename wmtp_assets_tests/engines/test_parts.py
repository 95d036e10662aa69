"""Numbers as runs, and rows parted between groups."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmtp_assets.engines.parts import divided, rows_of, runs_of


@given(st.sets(st.integers(0, 200)))
def test_runs_stand_for_their_numbers(numbers: set[int]) -> None:
    rows = np.array(sorted(numbers), np.int64)
    runs = runs_of(rows)
    assert rows_of(runs).tolist() == rows.tolist()
    assert all(a[0] + a[1] < b[0] for a, b in pairwise(runs))
    assert all(type(number) is int for run in runs for number in run)


def test_all_of_a_split_is_one_run() -> None:
    assert runs_of(np.arange(3_700_000)) == [[0, 3_700_000]]


@settings(max_examples=300)
@given(
    st.lists(st.integers(1, 9), max_size=40),
    st.integers(1, 30),
    st.integers(1, 12),
)
def test_parts_are_whole_groups_in_order(sizes: list[int], parts: int, least: int) -> None:
    groups = np.repeat(np.arange(len(sizes)) * 3, sizes)
    rows = np.arange(groups.size, dtype=np.int64) * 2
    found = divided(rows, groups, parts, least)
    assert np.concatenate(found).tolist() == rows.tolist()
    assert 1 <= len(found) <= parts
    assert all(part.size for part in found) or not rows.size
    owners = [set(groups[part // 2].tolist()) for part in found]
    assert sum(map(len, owners)) == len(sizes)
    if rows.size and len(found) > 1:  # a part is at most a share and the group that it ends with
        assert max(map(len, found)) <= max(rows.size / min(parts, rows.size // least), least) + 9


@pytest.mark.parametrize(("rows", "parts"), [(0, 4), (1, 4), (31, 4)])
def test_few_rows_are_one_part(rows: int, parts: int) -> None:
    assert len(divided(np.arange(rows), np.arange(rows), parts, least=32)) == 1


def test_rows_of_one_part_each_where_groups_are_small() -> None:
    rows = np.arange(1000)
    assert [part.size for part in divided(rows, rows, 8)] == [125] * 8
