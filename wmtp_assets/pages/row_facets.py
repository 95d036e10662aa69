"""Which rows of a split meet a query, and how many there are by difficulty, class and length.

Everything is computed from columns of the row index; no line of the JSONL is read. A count by one
property leaves out the condition on that property: its bars show what else could be chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.report import TOKEN_BIN
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.pages.row_query import CLASSES, FLAGS, PAGE_ROWS, RowQuery

NONE = -1  # the class or difficulty of rows that have none
_TOKENS = ("instruction_tokens", "input_tokens", "output_tokens")
# Columns kept in memory. Of 3.7 million rows the five that can be asked for have 45 MB.
_KEPT = 15
_BLOCK = 1 << 16  # rows

Mask = NDArray[np.bool_] | None  # of the rows of a block; None: all of them


@dataclass(frozen=True)
class Facets:
    """How many rows meet the query: `rows` in all; `difficulty`: by upstream's number, then by
    class (1 correct, 0 incorrect); `tokens`: by length in steps of `TOKEN_BIN`; `classes`: by
    class.
    NONE stands for the difficulty or class of rows that have none."""

    rows: int
    difficulty: Mapping[int, Mapping[int, int]]
    tokens: Mapping[int, int]
    classes: Mapping[int, int]


def facets_of_all(stats: Mapping[str, Any]) -> Facets:
    """The counts over all rows of a split, from its statistics document."""
    rows = int(stats["rows"])
    by_class = {
        CLASSES[name]: {_number(value): int(times) for value, times in counts.items()}
        for name, counts in stats["difficulty_by_class"].items()
    }
    if not by_class:
        counts = stats["difficulty_dist"].items()
        by_class = {NONE: {_number(value): int(times) for value, times in counts}}
    values = sorted({value for counts in by_class.values() for value in counts})
    histogram = stats["tokens"].get("total_tokens", {}).get(f"histogram_by_{TOKEN_BIN}", [])
    return Facets(
        rows,
        {
            value: {name: counts[value] for name, counts in by_class.items() if value in counts}
            for value in values
        },
        {place: times for place, times in enumerate(histogram) if times},
        {name: sum(counts.values()) for name, counts in by_class.items()},
    )


class Matches:
    """The rows of an index that meet a query, found in one pass over the columns that it needs."""

    def __init__(self, index: RowIndex, query: RowQuery) -> None:
        self._path, self._length, self._query = index.path, len(index), query
        self._stamp = _stamp(index.path)

    def facets(self) -> Facets:
        """The counts, over matching rows. Goes by blocks, which stay in the processor's cache."""
        names = ("total_tokens", "difficulty", "is_correct")
        with ThreadPoolExecutor(len(names)) as pool:  # most of a first answer is decoding
            tokens, difficulty, classes = pool.map(self._column, names)
        conditions = self._conditions()
        pairs, lengths, kinds = _Tally(), _Tally(), _Tally()
        rows = 0
        for begin in range(0, self._length, _BLOCK):
            block = slice(begin, begin + _BLOCK)
            masks = {name: condition(block) for name, condition in conditions.items()}
            every = _all_of(masks, None)
            kind = classes[block].astype(np.int32) + 1
            # Difficulty and class in one number: one pass counts both.
            pair = (difficulty[block].astype(np.int32) + 1) * 3 + kind
            rows += kind.size if every is None else int(np.count_nonzero(every))
            pairs.add(pair, _all_of(masks, "difficulty"))
            lengths.add(tokens[block] // TOKEN_BIN, _all_of(masks, "tokens"))
            kinds.add(kind, _all_of(masks, "class"))
        by_difficulty: dict[int, dict[int, int]] = {}
        for pair_, times in pairs.counts().items():
            by_difficulty.setdefault(pair_ // 3 - 1, {})[pair_ % 3 - 1] = times
        of_class = {one - 1: times for one, times in kinds.counts().items()}
        return Facets(rows, by_difficulty, lengths.counts(), of_class)

    def page(self) -> list[int]:
        """The numbers of the rows on the query's page, ascending; none beyond the last page."""
        first = (self._query.page - 1) * PAGE_ROWS
        conditions = list(self._conditions().values())
        if not conditions:
            return list(range(first, min(first + PAGE_ROWS, self._length)))
        found: list[int] = []
        passed = 0
        for begin in range(0, self._length, _BLOCK):
            block = slice(begin, begin + _BLOCK)
            masks = [condition(block) for condition in conditions]
            here = np.flatnonzero(np.logical_and.reduce(masks)) + begin
            wanted = here[max(first - passed, 0) : first + PAGE_ROWS - passed]
            found += wanted.tolist()
            passed += here.size
            if passed >= first + PAGE_ROWS:
                break
        return found

    def _conditions(self) -> dict[str, Callable[[slice], NDArray[np.bool_]]]:
        """By the name of a parameter: which rows of a block meet its condition."""
        query = self._query
        found: dict[str, Callable[[slice], NDArray[np.bool_]]] = {}
        if query.class_ is not None:
            found["class"] = _equal(self._column("is_correct"), CLASSES[query.class_])
        if query.difficulty is not None:
            found["difficulty"] = _within(self._column("difficulty"), query.difficulty)
        if query.tokens is not None:
            found["tokens"] = _within(self._column("total_tokens"), query.tokens)
        if query.problem is not None:
            found["problem"] = _equal(self._column("problem"), query.problem)
        if query.flag is not None:
            bit, flags = FLAGS[query.flag], self._column("flags")
            found["flag"] = (lambda block: (flags[block] & bit) != 0) if bit else _equal(flags, 0)
        return found

    def _column(self, name: str) -> NDArray[Any]:
        return _column(self._path, self._stamp, name)


class _Tally:
    """How often each whole number from 0 occurs."""

    def __init__(self) -> None:
        self._counts = np.zeros(1, np.int64)

    def add(self, values: NDArray[Any], mask: Mask) -> None:
        """Counts the values, those of `mask` alone if there is one."""
        counts = np.bincount(values if mask is None else values[mask])
        if counts.size > self._counts.size:
            self._counts, counts = counts.astype(np.int64), self._counts
        self._counts[: counts.size] += counts

    def counts(self) -> dict[int, int]:
        """Ascending; numbers that do not occur are left out."""
        return {int(value): int(self._counts[value]) for value in np.flatnonzero(self._counts)}


@lru_cache(maxsize=_KEPT)
def _column(path: Path, stamp: tuple[int, int, int], name: str) -> NDArray[Any]:
    """A column of the index at `path`; `stamp` tells one file at that path from the next."""
    del stamp
    index = RowIndex(path)
    if name != "total_tokens":
        return index.column(name)
    total = index.column(_TOKENS[0]).astype(np.int32)
    for one in _TOKENS[1:]:
        total += index.column(one)
    return total


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _all_of(masks: Mapping[str, NDArray[np.bool_]], but: str | None) -> Mask:
    """Where all masks are true but the one of that name."""
    found: Mask = None
    for name, mask in masks.items():
        if name != but:
            found = mask if found is None else found & mask
    return found


def _equal(values: NDArray[Any], value: int) -> Callable[[slice], NDArray[np.bool_]]:
    return lambda block: values[block] == value


def _within(values: NDArray[Any], bounds: tuple[int, int]) -> Callable[[slice], NDArray[np.bool_]]:
    return lambda block: (values[block] >= bounds[0]) & (values[block] <= bounds[1])


def _number(value: str) -> int:
    """The key of a statistics document: a number, or "null"."""
    return NONE if value == "null" else int(value)
