"""Samples are what was asked for, the same everywhere, and ranks share them out."""

from __future__ import annotations

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
