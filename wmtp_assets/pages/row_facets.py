"""Which rows of a split meet a query, and how many there are by difficulty, class and length.

Everything is computed from columns of the row index; no line of the JSONL is read. A count by one
property leaves out the condition on that property: its bars show what else could be chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
_KEPT = 3  # indexes whose columns are kept in memory: of 3.7 million rows, 45 MB at most
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
        counts = stats["difficulty_dist"] or ({"null": rows} if rows else {})
        by_class = {NONE: {_number(value): int(times) for value, times in counts.items()}}
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
        self._index, self._length, self._query = index, len(index), query
        self._stamp = _stamp(index.path)

    def facets(self) -> Facets:
        """The counts, over matching rows. Goes by blocks, which stay in the processor's cache."""
        columns = self._columns("total_tokens", "difficulty", "is_correct", *self._asked())
        tokens, difficulty = columns["total_tokens"], columns["difficulty"]
        classes, conditions = columns["is_correct"], self._conditions()
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

    def _asked(self) -> list[str]:
        """The columns that the query's conditions are about."""
        query = self._query
        given = {
            "is_correct": query.class_,
            "difficulty": query.difficulty,
            "total_tokens": query.tokens,
            "problem": query.problem,
            "flags": query.flag,
        }
        return [name for name, condition in given.items() if condition is not None]

    def _conditions(self) -> dict[str, Callable[[slice], NDArray[np.bool_]]]:
        """By the name of a parameter: which rows of a block meet its condition."""
        query, columns = self._query, self._columns(*self._asked())
        found: dict[str, Callable[[slice], NDArray[np.bool_]]] = {}
        if query.class_ is not None:
            found["class"] = _equal(columns["is_correct"], CLASSES[query.class_])
        if query.difficulty is not None:
            found["difficulty"] = _within(columns["difficulty"], query.difficulty)
        if query.tokens is not None:
            found["tokens"] = _within(columns["total_tokens"], query.tokens)
        if query.problem is not None:
            found["problem"] = _equal(columns["problem"], query.problem)
        if query.flag is not None:
            bit, flags = FLAGS[query.flag], columns["flags"]
            found["flag"] = (lambda block: (flags[block] & bit) != 0) if bit else _equal(flags, 0)
        return found

    def _columns(self, *names: str) -> Mapping[str, NDArray[Any]]:
        """Columns of the index by name; `total_tokens` is the sum of its three. What is not in
        memory is decoded, in one pass: that is most of a first answer."""
        kept = _kept(self._index.path, self._stamp)
        wanted = dict.fromkeys(names)
        if missing := [
            one
            for name in wanted
            if name not in kept
            for one in (_TOKENS if name == "total_tokens" else (name,))
        ]:
            found = self._index.columns(missing)
            if "total_tokens" in wanted and "total_tokens" not in kept:
                total = found.pop(_TOKENS[0]).astype(np.int32)
                for one in _TOKENS[1:]:
                    total += found.pop(one)
                found["total_tokens"] = total
            kept.update(found)
        return kept


class _Tally:
    """How often each whole number from 0 occurs."""

    def __init__(self) -> None:
        self._counts = np.zeros(1, np.int64)

    def add(self, values: NDArray[Any], mask: Mask) -> None:
        """Counts the values, those of `mask` alone if there is one."""
        if mask is None:
            counts = np.bincount(values)
        elif np.count_nonzero(mask) * 8 < mask.size:
            counts = np.bincount(values[mask])
        else:  # of many, multiplying is faster than choosing: the others count as 0
            counts = np.bincount((values + 1) * mask)[1:]
        if counts.size > self._counts.size:
            self._counts, counts = counts.astype(np.int64), self._counts
        self._counts[: counts.size] += counts

    def counts(self) -> dict[int, int]:
        """Ascending; numbers that do not occur are left out."""
        return {int(value): int(self._counts[value]) for value in np.flatnonzero(self._counts)}


@lru_cache(maxsize=_KEPT)
def _kept(path: Path, stamp: tuple[int, int, int]) -> dict[str, NDArray[Any]]:
    """The columns in memory of the index at `path`; `stamp` tells one file there from the next."""
    del path, stamp
    return {}


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
