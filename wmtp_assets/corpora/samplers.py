"""Which rows to train on: samples of row numbers, drawn from the row index alone.

Every sampler takes the rows to choose `among` (numbers or a mask, see `selection`; one that is
given twice counts once) and a `seed` (any integer; seeds that are equal modulo 2**64 are one), and
returns an int64 array of distinct row numbers in random order: the same array on every machine, so
that each rank can draw it for itself and keep `sharded(sample, rank, world)`. A `count` of 0 is an
empty sample. A request that makes no sense, and a sample that cannot be had, raise CorpusError (the
latter says how many rows there are); nothing is repeated or shortened silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora import ordering
from wmtp_assets.corpora.bins import (
    Bins,
    Stage,
    check_bins,
    check_share,
    check_stages,
    checked_count,
    checked_rank,
    checked_seed,
    parts_by_weight,
)
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.selection import Rows, RowsLike, distinct, row_numbers
from wmtp_assets.corpora.unique_pairs import unique_pairs

__all__ = [
    "Bins",
    "Rows",
    "Stage",
    "balanced",
    "binned",
    "curriculum",
    "firsts",
    "one_per_cluster",
    "pairs",
    "sharded",
    "unique_pairs",
]


def balanced(
    is_correct: NDArray[Any], among: RowsLike, count: int, share: float, seed: int
) -> Rows:
    """`count` rows of which the fraction `share` (rounded to a row, halves to even) are correct."""
    check_share(share)
    count, seed = checked_count(count), checked_seed(seed)
    return _balanced(is_correct, _rows(among, is_correct.size), count, share, seed)


def binned(
    values: NDArray[Any],
    among: RowsLike,
    count: int,
    bins: Bins,
    seed: int,
    is_correct: NDArray[Any] | None = None,
    share: float = 0.5,
) -> Rows:
    """`count` rows, each bin of `values` giving its part by weight (of a weight of 0, no row).

    Bins must not overlap. With `is_correct`, each bin is drawn as `balanced` with `share` does.
    """
    check_bins(bins)
    check_share(share)
    count, seed = checked_count(count), checked_seed(seed)
    return _binned(values, _rows(among, values.size), count, bins, seed, is_correct, share)


def curriculum(
    values: NDArray[Any],
    among: RowsLike,
    count: int,
    stages: Sequence[Stage],
    seed: int,
    is_correct: NDArray[Any] | None = None,
    share: float = 0.5,
) -> Rows:
    """`count` rows in the order of training: stage after stage, random within each, none twice."""
    check_stages(stages)
    check_share(share)
    count, seed = checked_count(count), checked_seed(seed)
    left = _rows(among, values.size)
    _require(count, left.size, "rows")
    parts: list[Rows] = []
    begin = 0
    for number, stage in enumerate(stages):
        end = round(count * stage.until)
        sample = _binned(values, left, end - begin, stage.bins, seed + number, is_correct, share)
        parts.append(sample)
        left = left[~np.isin(left, sample)]
        begin = end
    return np.concatenate(parts)


def pairs(
    is_correct: NDArray[Any], problem: NDArray[Any], among: RowsLike, count: int, seed: int
) -> NDArray[np.int64]:
    """`count` pairs (correct row, incorrect row), each of one problem: shape (count, 2).

    No row is used twice, and problems take turns: none gives a second pair before all that can
    have given a first.
    """
    count, seed = checked_count(count), checked_seed(seed)
    among = _rows(among, is_correct.size)
    sides = [ordering.shuffled(among[is_correct[among] == value], seed) for value in (1, 0)]
    ranked = [_ranks(problem[side]) for side in sides]
    # Pair k of a problem is its k-th correct row with its k-th incorrect one.
    span = int(max((rank.max() for rank in ranked if rank.size), default=0)) + 1
    rights, wrongs = (
        problem[side].astype(np.int64) * span + rank
        for side, rank in zip(sides, ranked, strict=True)
    )
    common, left, right = np.intersect1d(rights, wrongs, assume_unique=True, return_indices=True)
    _require(count, common.size, "pairs")
    random = ordering.keys(sides[0][left], seed)
    order = np.lexsort((random, common % span))[:count]
    found = np.stack((sides[0][left[order]], sides[1][right[order]]), axis=1)
    return found[np.argsort(ordering.keys(found[:, 0], seed, stream=1), kind="stable")]


def one_per_cluster(
    cluster: NDArray[Any],
    is_correct: NDArray[Any],
    among: RowsLike,
    seed: int,
    per_class: bool = True,
) -> Rows:
    """A random row of each cluster of near-duplicates, in random order.

    Of a cluster with correct and incorrect rows one of either class, or with `per_class` False one
    in all: of the more frequent class more often. What is left is to be given to other samplers as
    `among`.
    """
    seed = checked_seed(seed)
    found = ordering.shuffled(_rows(among, cluster.size), seed)
    classes = is_correct[found] if per_class else np.zeros(found.size, np.int8)
    return found[firsts(cluster[found], classes)]


def firsts(cluster: NDArray[Any], is_correct: NDArray[Any]) -> NDArray[np.int64]:
    """The places, ascending, where a cluster occurs for the first time with a class (-1, 0, 1).

    Both are of one length; clusters are numbers from 0.
    """
    # By a table of places: to sort millions of rows takes ten times as long.
    key = cluster.astype(np.int64) * 3 + is_correct + 1
    first = np.full(int(key.max(initial=0)) + 1, key.size, np.int64)
    first[key[::-1]] = np.arange(key.size - 1, -1, -1)
    return np.sort(first[first < key.size])


def sharded(sample: NDArray[np.int64], rank: int, world: int) -> NDArray[np.int64]:
    """The part of `sample` (rows, or pairs of them) for one of `world` ranks: disjoint parts, which
    differ by at most one row or pair."""
    rank, world = checked_rank(rank, world)
    return sample[rank::world]


def _rows(among: RowsLike, length: int) -> Rows:
    return distinct(row_numbers(among, length), length)


def _balanced(is_correct: NDArray[Any], among: Rows, count: int, share: float, seed: int) -> Rows:
    _require(count, among.size, "rows")
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


def _binned(
    values: NDArray[Any],
    among: Rows,
    count: int,
    bins: Bins,
    seed: int,
    is_correct: NDArray[Any] | None,
    share: float,
) -> Rows:
    _require(count, among.size, "rows")
    chosen = values[among]
    parts = []
    for (low, high), wanted in zip(bins, parts_by_weight(count, list(bins.values())), strict=True):
        members = among[(chosen >= low) & (chosen <= high)]
        parts.append(
            _draw(members, wanted, seed, f"rows from {low} to {high}")
            if is_correct is None
            else _balanced(is_correct, members, wanted, share, seed)
        )
    return ordering.shuffled(np.concatenate(parts), seed)


def _draw(members: Rows, count: int, seed: int, what: str) -> Rows:
    _require(count, members.size, what)
    return ordering.drawn(members, count, seed)


def _require(count: int, available: int, what: str) -> None:
    if available < count:
        raise CorpusError(
            f"There are fewer {what} than requested",
            expected=f"{count:,}",
            found=f"{available:,}",
            hint="Ask for fewer, or choose among more rows.",
        )


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
