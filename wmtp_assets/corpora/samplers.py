"""Which rows to train on: samples of row numbers, drawn from the row index alone.

Every sampler takes row numbers to choose `among` and a `seed`, and returns an int64 array of
distinct row numbers in random order: the same array on every machine, so that each rank can draw
it for itself and keep `sharded(sample, rank, world)`. A sample that cannot be had raises
CorpusError that says how many rows there are; nothing is repeated or shortened silently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora import ordering
from wmtp_assets.corpora.errors import CorpusError

Rows = NDArray[np.int64]
Bins = Mapping[tuple[int, int], float]


@dataclass(frozen=True)
class Stage:
    """A part of a curriculum: up to `until` (a fraction of the sample, rising to 1.0) rows come
    from `bins`, {(lowest, highest): weight}, both ends included."""

    until: float
    bins: Bins


def balanced(is_correct: NDArray[Any], among: Rows, count: int, share: float, seed: int) -> Rows:
    """`count` rows of which the fraction `share` (rounded to a row) are correct."""
    if not 0 <= share <= 1:
        raise CorpusError("A share lies between 0 and 1", found=share)
    kinds = is_correct[among]
    correct = round(count * share)
    parts = [
        _draw(among[kinds == value], wanted, seed, what)
        for value, wanted, what in (
            (1, correct, "correct rows"),
            (0, count - correct, "incorrect rows"),
        )
    ]
    return ordering.shuffled(np.concatenate(parts), seed)


def binned(
    values: NDArray[Any],
    among: Rows,
    count: int,
    bins: Bins,
    seed: int,
    is_correct: NDArray[Any] | None = None,
    share: float = 0.5,
) -> Rows:
    """`count` rows, each bin of `values` giving its part by weight.

    With `is_correct`, each bin is drawn as `balanced` with `share` does.
    """
    parts = [
        _from_bin(values, among, wanted, bounds, seed, is_correct, share)
        for bounds, wanted in zip(bins, _parts(count, list(bins.values())), strict=True)
    ]
    together = np.concatenate(parts)
    if np.unique(together).size != together.size:
        raise CorpusError("Bins overlap", expected="bins that share no value", found=list(bins))
    return ordering.shuffled(together, seed)


def curriculum(
    values: NDArray[Any],
    among: Rows,
    count: int,
    stages: Sequence[Stage],
    seed: int,
    is_correct: NDArray[Any] | None = None,
    share: float = 0.5,
) -> Rows:
    """`count` rows in the order of training: stage after stage, random within each, none twice."""
    ends = [stage.until for stage in stages]
    if not ends or ends[-1] != 1.0 or any(b <= a for a, b in zip([0.0, *ends], ends, strict=False)):
        raise CorpusError("Stages must rise to 1.0", expected="e.g. 0.3, 0.7, 1.0", found=ends)
    parts: list[Rows] = []
    begin = 0
    for number, stage in enumerate(stages):
        end = round(count * stage.until)
        sample = binned(
            values,
            among,
            end - begin,
            stage.bins,
            seed + number,
            is_correct=is_correct,
            share=share,
        )
        parts.append(sample)
        among = among[~np.isin(among, sample)]
        begin = end
    return np.concatenate(parts)


def pairs(
    is_correct: NDArray[Any], problem: NDArray[Any], among: Rows, count: int, seed: int
) -> NDArray[np.int64]:
    """`count` pairs (correct row, incorrect row), each of one problem: shape (count, 2).

    No row is used twice, and problems take turns: none gives a second pair before all that can
    have given a first.
    """
    sides = [ordering.shuffled(among[is_correct[among] == value], seed) for value in (1, 0)]
    ranked = [_ranks(problem[side]) for side in sides]
    # Pair k of a problem is its k-th correct row with its k-th incorrect one.
    span = int(max((rank.max() for rank in ranked if rank.size), default=0)) + 1
    rights, wrongs = (
        problem[side].astype(np.int64) * span + rank
        for side, rank in zip(sides, ranked, strict=True)
    )
    common, left, right = np.intersect1d(rights, wrongs, assume_unique=True, return_indices=True)
    if common.size < count:
        raise CorpusError(
            "There are not so many pairs",
            expected=f"{count:,} pairs",
            found=f"{common.size:,}",
            mend="Ask for fewer, or choose among more rows.",
        )
    random = ordering.keys(sides[0][left], seed)
    order = np.lexsort((random, common % span))[:count]
    found = np.stack((sides[0][left[order]], sides[1][right[order]]), axis=1)
    return found[np.argsort(ordering.keys(found[:, 0], seed, stream=1), kind="stable")]


def sharded(sample: NDArray[np.int64], rank: int, world: int) -> NDArray[np.int64]:
    """The part of `sample` for one of `world` ranks: disjoint, differing by at most one row."""
    if not 0 <= rank < world:
        raise CorpusError("A rank lies below the number of ranks", expected=world, found=rank)
    return sample[rank::world]


def _from_bin(
    values: NDArray[Any],
    among: Rows,
    count: int,
    bounds: tuple[int, int],
    seed: int,
    is_correct: NDArray[Any] | None,
    share: float,
) -> Rows:
    chosen = values[among]
    members = among[(chosen >= bounds[0]) & (chosen <= bounds[1])]
    if is_correct is not None:
        return balanced(is_correct, members, count, share, seed)
    return _draw(members, count, seed, f"rows from {bounds[0]} to {bounds[1]}")


def _draw(members: Rows, count: int, seed: int, what: str) -> Rows:
    if members.size < count:
        raise CorpusError(
            f"There are not so many {what}",
            expected=f"{count:,}",
            found=f"{members.size:,}",
            mend="Ask for fewer, or choose among more rows.",
        )
    return ordering.drawn(members, count, seed)


def _parts(count: int, weights: list[float]) -> list[int]:
    """`count` divided by weight, summing to it: the largest remainders get the odd rows."""
    total = sum(weights)
    if not weights or total <= 0 or min(weights) < 0:
        raise CorpusError("Weights are positive numbers", found=weights)
    exact = [count * weight / total for weight in weights]
    parts = [int(part) for part in exact]
    by_remainder = sorted(range(len(parts)), key=lambda at: (parts[at] - exact[at], at))
    for at in by_remainder[: count - sum(parts)]:
        parts[at] += 1
    return parts


def _ranks(groups: NDArray[Any]) -> NDArray[np.int64]:
    """For each element, how many before it are equal to it."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = (
        np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
        if groups.size
        else np.empty(0, np.int64)
    )
    sizes = np.diff(starts, append=groups.size)
    ranks = np.empty(groups.size, dtype=np.int64)
    ranks[order] = np.arange(groups.size) - np.repeat(starts, sizes)
    return ranks
