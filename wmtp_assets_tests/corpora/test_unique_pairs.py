"""Unique pairs: what a plain implementation could have drawn, as likely, and nothing else."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmtp_assets.corpora import ordering, samplers, unique_pairs
from wmtp_assets.corpora.errors import CorpusError

_ROWS = 6000
_ALL = np.arange(_ROWS)
_CLASS = (ordering.keys(_ALL, 1) % np.uint64(3) == 0).astype(np.int8)  # a third is correct
_PROBLEM = np.sort((ordering.keys(_ALL, 2) % np.uint64(97)).astype(np.int32))
_DIFFICULTY = ((_PROBLEM * 7) % 13 - 1).astype(np.int16)  # -1, none, to 11
_TOKENS = (ordering.keys(_ALL, 4) % np.uint64(2600)).astype(np.uint16)
_EDGES = [0, 100, 150, 200, 300, 500, 1000, 2000]


def drawn(count: int, seed: int = 5, among: Any = None, **given: Any) -> np.ndarray:
    columns: dict[str, Any] = {}
    if "bins" in given:
        columns["difficulty"] = _DIFFICULTY
    if "length_bins" in given:
        columns["output_tokens"] = _TOKENS
    return samplers.unique_pairs(_CLASS, _PROBLEM, among, count, seed, **given, **columns)


def bin_of(length: int, edges: list[float]) -> int:
    """As the trainer has it: the first edge above the length ends its bin."""
    return next((at for at, edge in enumerate(edges[1:]) if length < edge), len(edges) - 1)


def possible(
    among: Any = None, cap: int | None = None, bins: Any = None, edges: Any = None
) -> dict[Any, int]:
    """How many pairs there are in each bin of difficulty, counted plainly."""
    sides: dict[Any, list[int]] = defaultdict(lambda: [0, 0])
    for row in range(_ROWS) if among is None else set(among):
        level = int(_DIFFICULTY[row])
        by = None
        if bins is not None:
            by = next((each for each in bins if each[0] <= level <= each[1]), None)
            if by is None or level < 0 or not bins[by]:
                continue
        length = None if edges is None else bin_of(int(_TOKENS[row]), edges)
        sides[int(_PROBLEM[row]), by, length][int(_CLASS[row])] += 1
    of_problem: dict[Any, int] = defaultdict(int)
    for (problem, by, _), both in sides.items():
        of_problem[problem, by] += min(both)
    found: dict[Any, int] = Counter()
    for (_, by), pairs in of_problem.items():
        found[by] += pairs if cap is None else min(pairs, cap)
    return found


def check(found: np.ndarray, cap: int | None = None, edges: Any = None) -> None:
    assert found.dtype == np.int64
    assert found.shape == (len(found), 2)
    right, wrong = found[:, 0], found[:, 1]
    assert (_CLASS[right] == 1).all()
    assert (_CLASS[wrong] == 0).all()
    assert (_PROBLEM[right] == _PROBLEM[wrong]).all()
    assert np.unique(found).size == found.size
    if cap is not None and len(found):
        assert np.unique(_PROBLEM[right], return_counts=True)[1].max() <= cap
    if edges is not None:
        assert [bin_of(length, edges) for length in _TOKENS[right].tolist()] == [
            bin_of(length, edges) for length in _TOKENS[wrong].tolist()
        ]


_REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "max_pairs_per_problem": st.integers(1, 40),
        "length_bins": st.lists(st.integers(0, 2700), min_size=1, max_size=9, unique=True).map(
            sorted
        ),
        "among": st.sampled_from([range(0, _ROWS, 3), [5, 5, 1], [], range(2000)]),
    },
)


@settings(deadline=None, max_examples=40)
@given(asked=_REQUESTS, seed=st.integers(-(2**70), 2**70))
def test_all_pairs_can_be_had_each_as_asked_for_and_not_one_more(
    asked: dict[str, Any], seed: int
) -> None:
    cap, edges = asked.get("max_pairs_per_problem"), asked.get("length_bins")
    there = sum(possible(asked.get("among"), cap, None, edges).values())
    for count in {there, there // 3, 0}:
        found = drawn(count, seed, **asked)
        assert len(found) == count
        check(found, cap, edges)
        if "among" in asked:
            assert np.isin(found, asked["among"]).all()
    with pytest.raises(CorpusError, match=rf"fewer pairs than requested.*Found: {there:,}\."):
        drawn(there + 1, seed, **asked)


@settings(deadline=None, max_examples=40)
@given(
    weights=st.lists(st.sampled_from([0, 0.3, 1.0, 2]), min_size=3, max_size=3).filter(any),
    cap=st.none() | st.integers(1, 30),
    edges=st.none() | st.just(_EDGES),
    part=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_bins_give_their_part_of_the_pairs_by_weight(
    weights: list[float], cap: int | None, edges: Any, part: float, seed: int
) -> None:
    bins = dict(zip([(-5, 2), (3, 3), (4, 11)], weights, strict=True))
    there = possible(None, cap, bins, edges)
    total = sum(weights)
    most = min(there[each] * total / weight for each, weight in bins.items() if weight)
    count = int(part * (most - 3)) if most > 3 else 0
    asked = {} if edges is None else {"length_bins": edges}
    found = drawn(count, seed, bins=bins, max_pairs_per_problem=cap, **asked)
    check(found, cap, edges)
    level = _DIFFICULTY[found[:, 0]]
    assert (level >= 0).all()
    for (low, high), weight in bins.items():
        assert abs(((level >= low) & (level <= high)).sum() - count * weight / total) < 1
    # The bin that is used up first would have to give one or two more.
    short = min(int((there[each] + 2) * total / weight) for each, weight in bins.items() if weight)
    if short <= sum(there.values()):
        with pytest.raises(CorpusError, match="fewer pairs of difficulty"):
            drawn(short, seed, bins=bins, max_pairs_per_problem=cap, **asked)


def test_a_refusal_can_be_followed() -> None:
    with pytest.raises(CorpusError) as refusal:
        drawn(400, max_pairs_per_problem=4)
    assert (refusal.value.expected, refusal.value.found) == ("400", "388")
    assert "raise max_pairs_per_problem" in str(refusal.value)
    assert len(drawn(388, max_pairs_per_problem=4)) == 388
    assert len(drawn(400, max_pairs_per_problem=5)) == 400


def test_a_bin_without_pairs_is_refused_or_left_out_with_a_warning() -> None:
    bins = {(0, 11): 1.0, (20, 25): 3.0}
    with pytest.raises(CorpusError, match=r"20 to 25 than requested\. Expected: 45\. Found: 0"):
        drawn(60, bins=bins)
    with pytest.warns(UserWarning, match="no pair of difficulty 20 to 25"):
        assert len(drawn(60, bins=bins, skip_empty_bins=True)) == 60
    with pytest.raises(CorpusError, match="fewer pairs than requested"):
        drawn(60, bins={(20, 25): 1.0}, skip_empty_bins=True)


def test_the_same_seed_gives_the_same_pairs_on_every_machine() -> None:
    # Written down once: another platform, numpy or layout of the work must not change it.
    found = drawn(
        5, 7, bins={(0, 5): 1, (6, 11): 2}, length_bins=_EDGES, max_pairs_per_problem=2
    ).tolist()
    assert found == [[4079, 4112], [1903, 1918], [5927, 5929], [5504, 5520], [1978, 1961]]


@pytest.mark.parametrize(
    ("module_value", "value"), [("_BLOCK", 100), ("_MOST_GROUPS", 10)], ids=["blocks", "sparse"]
)
@pytest.mark.parametrize("asked", [{}, {"length_bins": _EDGES, "max_pairs_per_problem": 3}])
def test_how_the_work_is_laid_out_does_not_matter(
    module_value: str, value: int, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bins = {(0, 5): 1, (6, 11): 2}
    expected = [drawn(150, 3, bins=bins, **asked).tolist(), drawn(150, 4, **asked).tolist()]
    monkeypatch.setattr(unique_pairs, module_value, value)
    assert [drawn(150, 3, bins=bins, **asked).tolist(), drawn(150, 4, **asked).tolist()] == expected


def test_rows_of_a_problem_need_not_stand_together(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = ordering.shuffled(_ALL, 3)
    cap, columns = 4, (_CLASS[mixed], _PROBLEM[mixed])
    given = {"output_tokens": _TOKENS[mixed], "length_bins": _EDGES, "max_pairs_per_problem": cap}
    there = sum(possible(None, cap, None, _EDGES).values())
    for count in (there, 60):
        found = samplers.unique_pairs(*columns, None, count, 5, **given)
        assert len(found) == count
        check(mixed[found], cap, _EDGES)
        monkeypatch.setattr(unique_pairs, "_BLOCK", 100)
        assert samplers.unique_pairs(*columns, None, count, 5, **given).tolist() == found.tolist()
        monkeypatch.undo()


def test_bounds_that_too_few_keys_lie_below_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = drawn(900).tolist()
    bounds = unique_pairs._bounds
    calls = []

    def low(sizes: Any, wanted: Any, key_bits: int) -> Any:
        calls.append(1)
        return bounds(sizes, wanted, key_bits) // np.uint64(3)

    monkeypatch.setattr(unique_pairs, "_bounds", low)
    assert drawn(900).tolist() == expected
    assert calls


def test_elements_of_equal_keys_are_ordered_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = ordering.keys(np.arange(900), 3) >> np.uint64(60) << np.uint64(60)  # of 16 values
    monkeypatch.setattr(ordering, "keys", lambda indices, seed, stream: keys[indices])
    group, sizes = np.zeros(900, np.int32), np.array([900])
    elements, groups = unique_pairs._smallest(group, sizes, np.array([450]), 3, 0)
    assert elements.tolist() == sorted(range(900), key=lambda at: (keys[at], at))[:450]
    assert not groups.any()


def test_the_order_of_among_does_not_matter_and_a_row_that_stands_twice_counts_once() -> None:
    once = np.arange(0, 900)
    mask = np.zeros(_ROWS, np.bool_)
    mask[:900] = True
    found = [drawn(60, 5, among).tolist() for among in (once, np.tile(once[::-1], 2), mask)]
    assert found[0] == found[1] == found[2]


def plainly(count: int, seed: int, cap: int, edges: list[float]) -> list[tuple[int, int]]:
    """The plain way, by the standard library."""
    generator = random.Random(seed)
    sides: dict[Any, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for row in range(60):
        sides[row // 20, bin_of(int(_TINY_TOKENS[row]), edges)][int(_TINY_CLASS[row])].append(row)
    of_problem: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for (problem, _), (wrong, right) in sides.items():
        generator.shuffle(wrong)
        generator.shuffle(right)
        of_problem[problem] += zip(right, wrong, strict=False)
    kept = []
    for found in of_problem.values():
        generator.shuffle(found)
        kept += found[:cap]
    generator.shuffle(kept)
    return kept[:count]


_TINY_CLASS = (ordering.keys(np.arange(60), 8) % np.uint64(2)).astype(np.int8)
_TINY_TOKENS = (ordering.keys(np.arange(60), 9) % np.uint64(30)).astype(np.uint16)


def test_every_pair_is_as_likely_as_by_the_plain_way() -> None:
    rounds, count, cap, edges = 3000, 5, 4, [0, 5, 20]
    ours: Counter[tuple[int, int]] = Counter()
    theirs: Counter[tuple[int, int]] = Counter()
    problem = (np.arange(60) // 20).astype(np.int32)
    for seed in range(rounds):
        pairs = samplers.unique_pairs(
            _TINY_CLASS,
            problem,
            None,
            count,
            seed,
            max_pairs_per_problem=cap,
            output_tokens=_TINY_TOKENS,
            length_bins=edges,
        )
        ours.update(map(tuple, pairs.tolist()))
        theirs.update(plainly(count, seed, cap, edges))
    assert ours.keys() | theirs.keys() == ours.keys()
    # The difference of two counts of mean m has a variance of at most 2 m.
    for pair in ours:
        mean = (ours[pair] + theirs[pair]) / 2
        assert abs(ours[pair] - theirs[pair]) < 5 * np.sqrt(2 * mean), pair


@pytest.mark.parametrize("cap", [0, -1, 2.5, True, "3"], ids=repr)
def test_a_cap_is_a_whole_number(cap: Any) -> None:
    with pytest.raises(CorpusError, match="max_pairs_per_problem must be a whole number"):
        drawn(3, max_pairs_per_problem=cap)


@pytest.mark.parametrize(
    "edges", [[], [3, 3], [5, 1], ["0", "9"], [float("nan")], "0", 7, [True, 2]], ids=repr
)
def test_edges_of_length_bins_rise(edges: Any) -> None:
    with pytest.raises(CorpusError, match="edges of length bins must be ascending numbers"):
        drawn(3, length_bins=edges)


def test_of_no_rows_there_are_no_pairs() -> None:
    none = np.empty(0, np.int32)
    found = samplers.unique_pairs(none, none, None, 0, 1, max_pairs_per_problem=3)
    assert found.shape == (0, 2)
    with pytest.raises(CorpusError, match="Found: 0"):
        samplers.unique_pairs(none, none, None, 1, 1)


@pytest.mark.parametrize("given", [{"bins": {(0, 9): 1.0}}, {"length_bins": [0]}], ids=list)
def test_bins_need_the_column_that_they_are_of(given: Any) -> None:
    with pytest.raises(CorpusError, match="Bins need the column"):
        samplers.unique_pairs(_CLASS, _PROBLEM, None, 3, 1, **given)
