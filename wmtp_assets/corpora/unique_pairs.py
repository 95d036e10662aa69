"""Pairs as training draws them: a correct and an incorrect row of one problem, no row twice.

The distribution is that of the plain way: shuffle the rows of every problem, match correct with
incorrect ones, keep at most so many of a problem, shuffle all and take what is wanted. But no
millions of rows are shuffled for it. Rows are counted by cell: a problem, and where bins are given
a bin of difficulty and one of length. How many pairs each cell gives is drawn first; then the
correct rows of a cell with the smallest random keys are matched with its incorrect ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora import ordering
from wmtp_assets.corpora.bins import (
    Bins,
    check_bins,
    checked_cap,
    checked_count,
    checked_edges,
    checked_seed,
    parts_by_weight,
)
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.selection import RowsLike, row_numbers

Column = NDArray[Any]
Counts = NDArray[np.int64]

_BLOCK = 1 << 15  # rows processed together: they pass through several arrays
_MOST_GROUPS = 1 << 22  # that are counted by their numbers, used or not
# Streams of keys (see `ordering`): what one of them chose must be independent of the next.
_OF_ROWS, _OF_ORDER, _OF_A_PROBLEM, _OF_A_BIN = range(4)


@dataclass(frozen=True)
class _By:
    """Bins of a column: `of` gives the bin of each of some values, `size` for none."""

    column: Column
    of: Callable[[NDArray[np.int64]], NDArray[np.int64]]
    size: int


@dataclass(frozen=True)
class _Cells:
    """Groups 2c and 2c + 1 are the incorrect and the correct rows of cell c.

    group: of each row, int32; the one after the last stands for rows that are left out.
    rows: how many rows each group has. problem, bin: of each cell, counted from 0.
    of_a_problem: how many groups each problem has, where all cells are there.
    """

    group: NDArray[np.int32]
    rows: Counts
    problem: Counts
    bin: Counts
    of_a_problem: int


def unique_pairs(
    is_correct: Column,
    problem: Column,
    among: RowsLike | None,
    count: int,
    seed: int,
    *,
    max_pairs_per_problem: int | None = None,
    difficulty: Column | None = None,
    bins: Bins | None = None,
    output_tokens: Column | None = None,
    length_bins: Sequence[float] | None = None,
    skip_empty_bins: bool = False,
) -> Counts:
    """`count` pairs (correct row, incorrect row) of one problem each: int64, shape (count, 2).

    Drawn in random order from a random matching in which no row occurs twice, every pair of it as
    likely as another. `among` names rows as in `selection`; None: all of them.

    max_pairs_per_problem: no problem gives more pairs.
    length_bins: edges, rising; `output_tokens` of both rows of a pair lie in one bin, [edge, next
        edge). The first bin also has what is shorter, the last one whatever is longer.
    bins: {(lowest, highest): weight}, both ends included; `difficulty` of both rows lies in one
        bin, and each bin gives its share of the pairs by weight. A bin without any pair is refused,
        or with `skip_empty_bins` left out, its share going to the others, with a UserWarning.

    Raises CorpusError for a request that makes no sense, and where there are not so many pairs.
    """
    count, seed, cap = checked_count(count), checked_seed(seed), checked_cap(max_pairs_per_problem)
    by_bin = by_length = None
    weights: dict[tuple[int, int], float] = {}
    if bins is not None:
        check_bins(bins)
        weights = {bounds: weight for bounds, weight in sorted(bins.items()) if weight > 0}
        by_bin = _By(_given(difficulty, "difficulty"), _finder(list(weights)), len(weights))
    if length_bins is not None:
        upper = np.array(checked_edges(length_bins)[1:])
        by_length = _By(
            _given(output_tokens, "output_tokens"),
            lambda values: np.searchsorted(upper, values, "right"),
            upper.size + 1,
        )
    cells = _cells(is_correct, problem, _mask(among, is_correct.size), by_bin, by_length)

    pairs = _capped(cells, cells.rows.reshape(-1, 2).min(axis=1), cap, seed)
    pairs = _shared_out(cells, pairs, count, weights, seed, skip_empty_bins)
    rows, groups = _smallest(
        cells.group, cells.rows, np.repeat(pairs, 2), seed, _OF_ROWS, cells.of_a_problem
    )
    # Both classes are ordered by cell, and have the same number of rows in each.
    right = (groups & 1).astype(np.bool_)
    return _in_random_order(np.stack((rows[right], rows[~right]), axis=1), seed)


def _given(column: Column | None, name: str) -> Column:
    if column is None:
        raise CorpusError(
            "Bins need the column that they divide",
            expected=f"{name} of every row",
            found="None",
            hint=f"Give corpus.column({name!r}).",
        )
    return column


def _mask(among: RowsLike | None, length: int) -> NDArray[np.bool_] | None:
    if among is None:
        return None
    mask = np.zeros(length, dtype=np.bool_)
    mask[row_numbers(among, length)] = True
    return mask


def _finder(
    ranges: Sequence[tuple[int, int]],
) -> Callable[[NDArray[np.int64]], NDArray[np.int64]]:
    """Gives of values the number of the range that they lie in; ranges are apart and ascending."""
    lows, highs = np.array(ranges, dtype=np.float64).T

    def of(values: NDArray[np.int64]) -> NDArray[np.int64]:
        at = np.searchsorted(lows, values, "right") - 1
        # A negative number stands for none (see `row_index`), whatever the ranges are.
        inside = (at >= 0) & (values <= highs[at]) & (values >= 0)
        return np.where(inside, at, lows.size)

    return of


def _cells(
    is_correct: Column,
    problem: Column,
    mask: NDArray[np.bool_] | None,
    by_bin: _By | None,
    by_length: _By | None,
) -> _Cells:
    """Every row's group, and what the groups are."""
    by = [each for each in (by_bin, by_length) if each is not None]
    bins, lengths = (1 if each is None else each.size for each in (by_bin, by_length))
    problems = int(problem.max()) + 1 if problem.size else 0
    groups = 2 * problems * bins * lengths
    dense = groups <= _MOST_GROUPS
    codes: NDArray[Any] = np.empty(problem.size, dtype=np.int32 if dense else np.int64)
    tables = [_table(each) for each in by]
    for begin in range(0, problem.size, _BLOCK):
        part = slice(begin, begin + _BLOCK)
        code = problem[part].astype(codes.dtype)
        left_out = None if mask is None else ~mask[part]
        for each, (low, table) in zip(by, tables, strict=True):
            bin_of_row = table.take(each.column[part].astype(np.int64) - low)
            code *= each.size
            code += bin_of_row
            if each is by_bin:
                outside = bin_of_row == each.size
                left_out = outside if left_out is None else left_out | outside
        code *= 2
        code += is_correct[part]
        if left_out is not None:
            code[left_out] = groups
        codes[part] = code
    if dense:
        cell = np.arange(groups // 2)
        of_problem = cell // (bins * lengths)
    else:  # only those that occur
        cell, at = np.unique(codes // 2, return_inverse=True)
        codes = 2 * at + codes % 2
        cell = cell[cell < groups // 2]
        of_problem = np.unique(cell // (bins * lengths), return_inverse=True)[1]
    rows = np.bincount(codes, minlength=2 * cell.size + 1)[: 2 * cell.size]
    return _Cells(
        codes.astype(np.int32, copy=False),
        rows,
        of_problem,
        cell // lengths % bins,
        2 * bins * lengths,
    )


def _table(by: _By) -> tuple[int, NDArray[np.int32]]:
    """(lowest value, the bin of each value from it to the highest one) of a column."""
    low, high = (int(by.column.min()), int(by.column.max())) if by.column.size else (0, 0)
    return low, by.of(np.arange(low, high + 1)).astype(np.int32)


def _capped(cells: _Cells, pairs: Counts, cap: int | None, seed: int) -> Counts:
    """How many pairs of each cell are left where no problem gives more than `cap`."""
    if cap is None or not pairs.size:
        return pairs
    if np.bincount(cells.problem, pairs > 0).max() <= 1:  # no choice among cells
        return np.minimum(pairs, cap)
    of_problem = np.bincount(cells.problem, pairs).astype(np.int64)
    # Of problems that have few enough, all are taken: drawing is for the others.
    drawn_from = np.where((of_problem > cap)[cells.problem], pairs, 0)
    cell = np.repeat(np.arange(pairs.size), drawn_from)
    problem = cells.problem[cell].astype(np.int32)
    sizes = np.bincount(problem, minlength=of_problem.size)
    taken, _ = _smallest(problem, sizes, np.minimum(sizes, cap), seed, _OF_A_PROBLEM)
    return np.bincount(cell[taken], minlength=pairs.size) + pairs - drawn_from


def _shared_out(
    cells: _Cells,
    pairs: Counts,
    count: int,
    weights: dict[tuple[int, int], float],
    seed: int,
    skip_empty_bins: bool,
) -> Counts:
    """How many pairs each cell gives to a sample of `count`, shared out over bins by weight."""
    total = int(pairs.sum())
    if total < count:
        raise _not_so_many("pairs", count, total)
    if not count:
        return np.zeros_like(pairs)
    sizes = np.bincount(cells.bin, pairs, minlength=max(len(weights), 1)).astype(np.int64)
    wanted = [count]
    if weights:
        shares = list(weights.values())
        if skip_empty_bins and not sizes.all():
            empty = [bounds for bounds, size in zip(weights, sizes, strict=True) if not size]
            shares = [share if size else 0.0 for share, size in zip(shares, sizes, strict=True)]
            warnings.warn(
                f"There is no pair of difficulty {_named(empty)}; the other bins get its share.",
                stacklevel=3,
            )
        wanted = parts_by_weight(count, shares)
        for bounds, part, size in zip(weights, wanted, sizes.tolist(), strict=True):
            if size < part:
                raise _not_so_many(f"pairs of difficulty {_named([bounds])}", part, size)
    cell = np.repeat(np.arange(pairs.size), pairs)
    taken, _ = _smallest(cells.bin[cell].astype(np.int32), sizes, np.array(wanted), seed, _OF_A_BIN)
    return np.bincount(cell[taken], minlength=pairs.size)


def _smallest(
    group: NDArray[np.int32],
    sizes: Counts,
    wanted: Counts,
    seed: int,
    stream: int,
    apart: int = 1,
) -> tuple[Counts, Counts]:
    """The `wanted[g]` elements of each group g that have the smallest random keys, with their
    groups: ascending by group, then by key. `group` is of each element; one that is not below
    `sizes.size` is of none. It is quicker where elements are ordered by group // apart.

    Only elements below a bound are sorted, which is such that hardly any group has too few below.
    """
    # Group, key and number of an element in one integer, which sorts many times as fast as they do
    # apart. Of the key there is room for some twenty bits: where two of a group are equal in these,
    # the number decides, on every machine.
    element_bits = group.size.bit_length()
    key_bits = 64 - sizes.size.bit_length() - element_bits
    layout = (seed, stream, element_bits, key_bits, apart)
    packed = _below(group, _bounds(sizes, wanted, key_bits), *layout)
    found = _counts(packed, element_bits + key_bits, sizes.size)
    missed = found < wanted
    if missed.any():  # of these, every element
        of = (packed >> np.uint64(element_bits + key_bits)).astype(np.int64)
        every = np.append(np.where(missed, 1 << key_bits, 0), 0).astype(np.uint64)
        packed = np.concatenate((packed[~missed[of]], _below(group, every, *layout)))
        packed.sort(kind="stable")  # of two parts that are sorted: quickest so
        found = _counts(packed, element_bits + key_bits, sizes.size)
    # Of each group the first ones are taken, the others left.
    left = np.stack((wanted, found - wanted), axis=1).ravel()
    packed = packed[np.repeat(np.tile([True, False], sizes.size), left)]
    groups = (packed >> np.uint64(element_bits + key_bits)).astype(np.int64)
    return (packed & np.uint64((1 << element_bits) - 1)).astype(np.int64), groups


def _counts(packed: NDArray[np.uint64], shift: int, groups: int) -> Counts:
    """How many of the packed elements each group has."""
    return np.bincount((packed >> np.uint64(shift)).astype(np.int64), minlength=groups)


def _bounds(sizes: Counts, wanted: Counts, key_bits: int) -> NDArray[np.uint64]:
    """What the keys of each group's elements must be below to be sorted, such that some standard
    deviations more than `wanted` elements are; 0 where none is wanted, and as a last one, for
    elements of no group."""
    share = (wanted + 4.5 * np.sqrt(wanted) + 6) / np.maximum(sizes, 1)
    bounds = (np.minimum(share, 1.0) * (1 << key_bits)).astype(np.uint64)
    bounds[wanted == 0] = 0
    return np.append(bounds, np.uint64(0))


def _below(
    group: NDArray[np.int32],
    bounds: NDArray[np.uint64],
    seed: int,
    stream: int,
    element_bits: int,
    key_bits: int,
    apart: int,
) -> NDArray[np.uint64]:
    """The elements whose key is below their group's bound, packed and ascending."""
    found = [np.empty(0, np.uint64)]
    begin, ascending = 0, True
    while begin < group.size:
        end = min(_end(group, begin + _BLOCK, apart), group.size)
        of = group[begin:end]
        bound = bounds.take(of)
        at = np.flatnonzero(bound)
        if at.size < of.size:
            of, bound = of.take(at), bound.take(at)
        keys = ordering.keys(at + begin, seed, stream)
        keys >>= np.uint64(64 - key_bits)
        below = np.flatnonzero(keys < bound)
        packed = of.take(below).astype(np.uint64) << np.uint64(element_bits + key_bits)
        packed |= keys.take(below) << np.uint64(element_bits)
        packed |= (at.take(below) + begin).astype(np.uint64)
        begin = end
        if packed.size:
            packed.sort()
            ascending = ascending and (not found[-1].size or found[-1][-1] < packed[0])
            found.append(packed)
    every = np.concatenate(found)
    if not ascending:  # rows of a problem are not all contiguous
        every.sort()
    return every


def _end(group: NDArray[np.int32], at: int, apart: int) -> int:
    """The first place from `at` on where other elements begin: of other `apart` groups. So that
    blocks, which sort faster than all of them do together, need not be sorted again."""
    near = group[at - 1 : at + _BLOCK] // apart
    changes = np.flatnonzero(near[1:] != near[:-1])
    return at + int(changes[0]) if changes.size else at


def _in_random_order(pairs: Counts, seed: int) -> Counts:
    """The pairs by a random key of their first row."""
    bits = len(pairs).bit_length()
    keys = ordering.keys(pairs[:, 0], seed, stream=_OF_ORDER) >> np.uint64(bits)
    packed = (keys << np.uint64(bits)) | np.arange(len(pairs), dtype=np.uint64)
    packed.sort()
    return pairs[(packed & np.uint64((1 << bits) - 1)).astype(np.int64)]


def _named(ranges: Sequence[tuple[int, int]]) -> str:
    return ", ".join(f"{low} to {high}" for low, high in ranges)


def _not_so_many(what: str, wanted: int, there: int) -> CorpusError:
    return CorpusError(
        f"There are fewer {what} than requested",
        expected=f"{wanted:,}",
        found=f"{there:,}",
        hint="Ask for fewer, choose among more rows, or raise max_pairs_per_problem.",
    )
