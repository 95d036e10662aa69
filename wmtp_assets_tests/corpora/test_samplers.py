"""Samples are what was asked for, the same everywhere, and ranks share them out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmtp_assets.corpora import ordering, samplers
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.samplers import Stage

_ROWS = 4000
_ALL = np.arange(_ROWS)
_CLASS = (ordering.keys(_ALL, 1) % np.uint64(3) == 0).astype(np.int8)  # a third is correct
_DIFFICULTY = (ordering.keys(_ALL, 2) % np.uint64(12)).astype(np.int16)
_PROBLEM = (_ALL // 13).astype(np.int32)


@settings(deadline=None)
@given(count=st.integers(0, 1200), share=st.floats(0, 1), seed=st.integers(-(2**70), 2**70))
def test_a_balanced_sample_has_the_share_that_was_asked_for(
    count: int, share: float, seed: int
) -> None:
    sample = samplers.balanced(_CLASS, _ALL, count, share, seed)
    assert sample.size == np.unique(sample).size == count
    assert _CLASS[sample].sum() == round(count * share)


def test_a_sample_is_in_random_order() -> None:
    sample = samplers.balanced(_CLASS, _ALL, 1000, 0.5, seed=3)
    assert abs(np.corrcoef(sample, np.arange(1000))[0, 1]) < 0.1
    assert abs(_CLASS[sample][:500].sum() - 250) < 50


def test_the_same_seed_gives_the_same_rows_on_every_machine() -> None:
    # Written down once: another platform, numpy or seed handling must not change it.
    found = [samplers.balanced(_CLASS, _ALL, 8, 0.5, seed).tolist() for seed in (7, -7)]
    assert found == [
        [858, 1628, 2001, 667, 1402, 2117, 3461, 2612],
        [1679, 303, 3481, 622, 697, 3507, 1100, 1444],
    ]


def test_samples_spread_evenly_over_rows() -> None:
    hits = np.zeros(_ROWS)
    for seed in range(200):
        hits[samplers.balanced(_CLASS, _ALL, 400, 0.5, seed)] += 1
    for value, expected in ((1, 200 * 200 / _CLASS.sum()), (0, 200 * 200 / (_CLASS == 0).sum())):
        found = hits[value == _CLASS]
        assert abs(found.mean() - expected) < 1e-9
        assert found.std() < 1.3 * np.sqrt(expected)


def test_more_rows_than_there_are_is_refused_with_the_number_there_is() -> None:
    with pytest.raises(CorpusError, match=f"{_CLASS.sum():,}"):
        samplers.balanced(_CLASS, _ALL, 3900, 0.5, seed=1)


@given(
    weights=st.lists(st.floats(0, 9), min_size=3, max_size=3).filter(lambda each: sum(each) > 0.1),
    count=st.integers(0, 300),
)
@settings(deadline=None)
def test_bins_give_their_part_by_weight(weights: list[float], count: int) -> None:
    bins = dict(zip([(0, 3), (4, 4), (5, 11)], weights, strict=True))
    sample = samplers.binned(_DIFFICULTY, _ALL, count, bins, seed=5)
    assert sample.size == np.unique(sample).size == count
    for (low, high), weight in bins.items():
        got = ((_DIFFICULTY[sample] >= low) & (_DIFFICULTY[sample] <= high)).sum()
        assert abs(got - count * weight / sum(weights)) < 1


def test_bins_can_be_balanced_by_correctness() -> None:
    bins = {(0, 5): 1.0, (6, 11): 3.0}
    sample = samplers.binned(_DIFFICULTY, _ALL, 400, bins, 5, is_correct=_CLASS, share=0.5)
    low = sample[_DIFFICULTY[sample] <= 5]
    assert (low.size, _CLASS[low].sum(), _CLASS[sample].sum()) == (100, 50, 200)


def test_overlapping_bins_are_refused() -> None:
    with pytest.raises(CorpusError, match="overlap"):
        samplers.binned(_DIFFICULTY, _ALL, 3000, {(0, 6): 1.0, (6, 11): 1.0}, seed=5)


_NAN, _INF = float("nan"), float("inf")
_ONE = {(0, 11): 1.0}
# Whatever there is to draw from: a request is refused by what it says.
_POINTLESS_BINS: dict[str, Any] = {
    "none": {},
    "no mapping": [(0, 6)],
    "overlapping": {(0, 6): 1.0, (6, 11): 1.0},
    "overlapping where no row is": {(0, 50): 1.0, (40, 60): 1.0},
    "one within another": {(0, 50): 1.0, (3, 4): 1.0},
    "overlapping, the upper one first": {(6, 11): 1.0, (0, 6): 1.0},
    "overlapping with a weight of 0": {(0, 6): 1.0, (5, 11): 0.0},
    "reversed": {(6, 0): 1.0},
    "not a number": {(0, _NAN): 1.0},
    "three ends": {(0, 1, 2): 1.0},
    "one end": {3: 1.0},
    "ends as text": {("0", "3"): 1.0},
    "ends that are true": {(False, True): 1.0},
    "no weights": {(0, 3): None},
    "weights of 0": {(0, 3): 0.0, (4, 5): 0},
    "a negative weight": {(0, 3): 2.0, (4, 5): -1.0},
    "a weight that is not a number": {(0, 3): _NAN, (4, 5): 1.0},
    "an infinite weight": {(0, 3): _INF, (4, 5): 1.0},
    "weights as text": {(0, 3): "1"},
}


@pytest.mark.parametrize("what", _POINTLESS_BINS)
@pytest.mark.parametrize("count", [0, 6, 100, 3000])
@pytest.mark.parametrize("among", [[], [1], range(_ROWS)], ids=["none", "one", "all"])
def test_bins_are_refused_before_any_row_is_looked_at(what: str, count: int, among: Any) -> None:
    bins = _POINTLESS_BINS[what]
    for draw in (
        lambda: samplers.binned(_DIFFICULTY, among, count, bins, seed=5),
        lambda: samplers.binned(_DIFFICULTY, among, count, bins, 5, _CLASS, 0.5),
        lambda: samplers.curriculum(
            _DIFFICULTY, among, count, [Stage(0.5, _ONE), Stage(1.0, bins)], seed=5
        ),
    ):
        with pytest.raises(CorpusError) as refusal:
            draw()
        assert any(word in str(refusal.value) for word in ("Bins", "bin", "Weights"))
        assert "There are fewer" not in str(refusal.value)
        assert "What to do" in str(refusal.value)


def test_bins_are_open_ended_and_in_any_order() -> None:
    bins = {(6, _INF): 1.0, (-_INF, 5): 0}
    sample = samplers.binned(_DIFFICULTY, _ALL, 50, bins, seed=5)
    assert _DIFFICULTY[sample].min() >= 6


@pytest.mark.parametrize("weight", [1e308, 1.7e308, 5e-324, 1e-300])
def test_weights_of_any_size_divide(weight: float) -> None:
    sample = samplers.binned(_DIFFICULTY, _ALL, 60, {(0, 5): weight, (6, 11): weight}, seed=5)
    assert (_DIFFICULTY[sample] <= 5).sum() == 30


_DRAWS: dict[str, Any] = {
    "balanced": lambda **given: samplers.balanced(_CLASS, **{"share": 0.5, **given}),
    "binned": lambda **given: samplers.binned(_DIFFICULTY, bins=_ONE, **given),
    "curriculum": lambda **given: samplers.curriculum(
        _DIFFICULTY, stages=[Stage(1.0, _ONE)], **given
    ),
    "pairs": lambda **given: samplers.pairs(_CLASS, _PROBLEM, **given),
}


@pytest.mark.parametrize("draw", _DRAWS)
@pytest.mark.parametrize("count", [-1, 1.0, 2.5, True, "3", None, _NAN, np.array([1, 2])], ids=repr)
def test_a_count_is_a_whole_number(draw: str, count: Any) -> None:
    with pytest.raises(CorpusError, match="count of rows must be a whole number"):
        _DRAWS[draw](among=_ALL, count=count, seed=5)


@pytest.mark.parametrize("draw", _DRAWS)
@pytest.mark.parametrize("seed", [1.0, "7", None, True, _NAN], ids=repr)
def test_a_seed_is_a_whole_number(draw: str, seed: Any) -> None:
    with pytest.raises(CorpusError, match="seed must be a whole number"):
        _DRAWS[draw](among=_ALL, count=3, seed=seed)


@pytest.mark.parametrize("draw", _DRAWS)
def test_any_whole_number_is_a_seed_and_equal_ones_are_one(draw: str) -> None:
    for seed in (0, -1, 2**63, -(2**70), 10**40):
        sample = _DRAWS[draw](among=_ALL, count=8, seed=seed)
        assert np.unique(sample).size == sample.size
        again = _DRAWS[draw](among=_ALL, count=np.int8(8), seed=seed % 2**64)
        assert sample.tolist() == again.tolist()
    seven = _DRAWS[draw](among=_ALL, count=8, seed=7)
    assert seven.tolist() == _DRAWS[draw](among=_ALL, count=8, seed=np.int64(7)).tolist()


@pytest.mark.parametrize("draw", _DRAWS)
@pytest.mark.parametrize("among", [[], _ALL], ids=["none", "all"])
def test_no_rows_are_an_empty_sample(draw: str, among: Any) -> None:
    assert _DRAWS[draw](among=among, count=0, seed=5).size == 0


@pytest.mark.parametrize("draw", _DRAWS)
@pytest.mark.parametrize("count", [_ROWS + 1, 2**63, 10**400])
def test_more_than_there_is_is_refused_by_every_sampler(draw: str, count: int) -> None:
    with pytest.raises(CorpusError, match="There are fewer"):
        _DRAWS[draw](among=_ALL, count=count, seed=5)


@pytest.mark.parametrize("draw", _DRAWS)
def test_a_row_that_stands_twice_among_is_drawn_once(draw: str) -> None:
    once = np.arange(0, 600)
    twice = np.concatenate((once, once[::-1]))
    sample = _DRAWS[draw](among=twice, count=100, seed=5)
    assert np.unique(sample).size == sample.size
    assert sample.tolist() == _DRAWS[draw](among=once, count=100, seed=5).tolist()


@pytest.mark.parametrize("share", [-0.1, 1.1, _NAN, "0.5", None, True], ids=repr)
def test_a_share_is_a_fraction(share: Any) -> None:
    with pytest.raises(CorpusError, match="share must be between"):
        samplers.balanced(_CLASS, _ALL, 10, share, seed=5)


@pytest.mark.parametrize("end", [_NAN, "1.0", None, True], ids=repr)
def test_the_end_of_a_stage_is_a_number(end: Any) -> None:
    with pytest.raises(CorpusError, match="rise"):
        samplers.curriculum(_DIFFICULTY, _ALL, 10, [Stage(end, _ONE)], seed=5)


@pytest.mark.parametrize(
    ("rank", "world"), [(0.5, 2), (True, 2), (-1, 2), (2, 2), (0, 0), (0, 1.0), ("0", 1), (None, 1)]
)
def test_ranks_are_whole_numbers_below_their_number(rank: Any, world: Any) -> None:
    with pytest.raises(CorpusError, match="rank"):
        samplers.sharded(_ALL, rank, world)


@pytest.mark.parametrize("weights", [(0.0, 0.0), (1.0, -1.0)])
def test_weights_that_divide_nothing_are_refused(weights: tuple[float, float]) -> None:
    with pytest.raises(CorpusError, match="Weights"):
        samplers.binned(_DIFFICULTY, _ALL, 10, {(0, 1): weights[0], (2, 3): weights[1]}, seed=5)


def test_a_curriculum_goes_from_stage_to_stage_and_repeats_no_row() -> None:
    stages = [
        Stage(0.25, {(0, 3): 1.0}),
        Stage(0.75, {(0, 3): 1.0, (4, 7): 1.0}),
        Stage(1.0, {(8, 11): 1.0}),
    ]
    sample = samplers.curriculum(_DIFFICULTY, _ALL, 800, stages, seed=5)
    assert sample.size == np.unique(sample).size == 800
    difficulty = _DIFFICULTY[sample]
    assert difficulty[:200].max() <= 3
    assert ((difficulty[200:600] >= 4) & (difficulty[200:600] <= 7)).sum() == 200
    assert difficulty[600:].min() >= 8


@pytest.mark.parametrize("ends", [(0.5,), (0.5, 0.5, 1.0), (0.7, 0.3, 1.0), ()])
def test_stages_that_do_not_rise_to_one_are_refused(ends: tuple[float, ...]) -> None:
    stages = [Stage(end, {(0, 11): 1.0}) for end in ends]
    with pytest.raises(CorpusError, match="rise"):
        samplers.curriculum(_DIFFICULTY, _ALL, 100, stages, seed=5)


def test_pairs_are_a_right_and_a_wrong_row_of_one_problem() -> None:
    found = samplers.pairs(_CLASS, _PROBLEM, _ALL, 300, seed=5)
    right, wrong = found[:, 0], found[:, 1]
    assert found.shape == (300, 2)
    assert (_CLASS[right] == 1).all()
    assert (_CLASS[wrong] == 0).all()
    assert (_PROBLEM[right] == _PROBLEM[wrong]).all()
    assert np.unique(found).size == 600


def test_problems_take_turns_in_giving_pairs() -> None:
    found = samplers.pairs(_CLASS, _PROBLEM, _ALL, 250, seed=5)
    _, times = np.unique(_PROBLEM[found[:, 0]], return_counts=True)
    assert times.max() == 1


def test_all_pairs_can_be_had_and_not_one_more() -> None:
    possible = sum(
        min((_CLASS[at == _PROBLEM] == 1).sum(), (_CLASS[at == _PROBLEM] == 0).sum())
        for at in np.unique(_PROBLEM)
    )
    assert len(samplers.pairs(_CLASS, _PROBLEM, _ALL, int(possible), seed=5)) == possible
    with pytest.raises(CorpusError, match=f"{possible:,}"):
        samplers.pairs(_CLASS, _PROBLEM, _ALL, int(possible) + 1, seed=5)


@given(size=st.integers(0, 100), world=st.integers(1, 9))
def test_ranks_take_disjoint_parts_that_differ_by_at_most_one(size: int, world: int) -> None:
    sample = ordering.shuffled(np.arange(size), 3)
    parts = [samplers.sharded(sample, rank, world) for rank in range(world)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(size))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_rank_outside_the_world_is_refused() -> None:
    with pytest.raises(CorpusError, match="rank"):
        samplers.sharded(_ALL, 4, 4)


def test_drawing_gives_distinct_rows_and_all_when_there_are_no_more() -> None:
    assert np.unique(ordering.drawn(_ALL, 50, 9)).size == 50
    assert np.sort(ordering.drawn(_ALL, _ROWS + 1, 9)).tolist() == _ALL.tolist()
