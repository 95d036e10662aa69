"""Which rows of a split are executed: a sample, in proportion to their classes and sources.

Each row has a place of its own in an order that the seed decides, and a sample of n is the first n
of it. So a larger sample contains every smaller one of the same seed, and what was executed for the
one counts for the other.

Within a stratum rows are ordered by a hash of seed, problem and place in the problem; the j-th of a
stratum of N rows then comes at (j + 1/2) / N among all strata. That is proportional allocation with
Webster's rounding, which gives each stratum its exact share but for about half a row. Largest
remainders round as well, but there a stratum can lose a row when the sample grows, and samples
would not contain each other.

Nothing depends on the number of workers, nor on rows of other problems: what is appended to a split
changes the order of what was there only as far as the proportions of the strata change.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.row_index import RowIndex

Wanted = int | Literal["all"]
STRATA: Final = ("is_correct", "source", "difficulty", "language")
_MULTIPLIERS: Final = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # of SplitMix64
_STEP: Final = 0x9E3779B97F4A7C15
_MASK: Final = (1 << 64) - 1


def drawn_rows(index: RowIndex, wanted: Wanted, seed: int) -> NDArray[np.int64]:
    """The numbers, ascending, of the rows to execute: all, or `wanted` of them drawn by `seed`."""
    rows = len(index)
    if wanted == "all" or wanted >= rows:
        return np.arange(rows, dtype=np.int64)
    problems = index.column("problem").astype(np.int64)
    order = _places(_strata(index), problems, seed)
    return np.sort(order[:wanted])


def _strata(index: RowIndex) -> NDArray[np.int64]:
    """The number of each row's stratum."""
    found = np.zeros(len(index), np.int64)
    for name in STRATA:
        values, codes = np.unique(index.column(name), return_inverse=True)
        found = found * values.size + codes
    return np.asarray(np.unique(found, return_inverse=True)[1])


def _places(strata: NDArray[np.int64], problems: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """All rows in the order in which they are drawn. Rows of one problem follow each other."""
    hashes = _hashes(problems, _within(problems), seed)
    order = np.lexsort((hashes, strata))
    sizes = np.bincount(strata)
    begins = np.cumsum(sizes) - sizes
    ordered = strata[order]
    nth = np.arange(order.size) - begins[ordered]
    share = (nth + 0.5) / sizes[ordered]
    # Strata of equal size come at equal shares: the hash decides between them.
    return np.asarray(order[np.lexsort((hashes[order], share))])


def _within(problems: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each row's place among the rows of its problem, from 0."""
    places = np.arange(problems.size, dtype=np.int64)
    begun = np.flatnonzero(np.diff(problems, prepend=problems[:1] - 1))
    return places - np.repeat(begun, np.diff(np.append(begun, problems.size)))


def _hashes(first: NDArray[np.int64], second: NDArray[np.int64], seed: int) -> NDArray[Any]:
    """64 bits of each pair and the seed, by the mixing function of SplitMix64."""
    state = np.full(first.size, (seed * _STEP + _STEP) & _MASK, np.uint64)
    for values in (first, second):
        state = _mixed(state ^ values.astype(np.uint64)) + np.uint64(_STEP)
    return _mixed(state)


def _mixed(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for shift, multiplier in zip((30, 27), _MULTIPLIERS, strict=True):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(multiplier)
    return state ^ (state >> np.uint64(31))
