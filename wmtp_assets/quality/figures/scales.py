"""Difficulties and lengths of a split, counted from its row index: what no statistics join.

A difficulty means something only beside the source that gave it: code_contests numbers the levels
of one site and the places of problems in another's contests in one column. So they are counted by
source. Lengths are counted by class, since wrong solutions are not as long as right ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.report import TOKEN_BIN
from wmtp_assets.corpora.row_index import ROWS_PER_GROUP, RowIndex, as_numpy

NO_CLASS: Final = "rows"
_CLASSES: Final = (NO_CLASS, "incorrect", "correct")  # by is_correct + 1
_TOKENS: Final = ("instruction_tokens", "input_tokens", "output_tokens")
_COLUMNS: Final = ("problem", "is_correct", "difficulty", "source", "cf_rating", *_TOKENS)
_DENSE = 1 << 20  # distinct keys up to which counting by place is cheaper than sorting


@dataclass(frozen=True)
class Grade:
    """The rows of one source and difficulty, as upstream numbers both (None where it has none), by
    class (`NO_CLASS` for rows without one); `rated` problems have a Codeforces rating too, from
    `least` to `most`."""

    source: int | None
    difficulty: int | None
    problems: int
    rows: Mapping[str, int]
    rated: int = 0
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True)
class Length:
    """Tokens of instruction, input and output together, of the rows of one class: nearest-rank
    percentiles, and `bins` of `TOKEN_BIN` tokens from 0 on."""

    rows: int
    mean: float
    median: int
    percentile_95: int
    most: int
    bins: Sequence[int]


@dataclass(frozen=True)
class Scales:
    """What an index says of difficulty and length."""

    grades: Sequence[Grade]
    lengths: Mapping[str, Length]


def scales_of(index: RowIndex) -> Scales:
    """Counts the rows of an index, as many at a time as a row group has."""
    tally = _Tally()
    for batch in index.batches(list(_COLUMNS), ROWS_PER_GROUP):
        tally.add({name: as_numpy(batch.column(name)) for name in _COLUMNS})
    return tally.scales()


@dataclass
class _Tally:
    rows: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    problems: Counter[tuple[int, int]] = field(default_factory=Counter)
    ratings: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    tokens: dict[int, NDArray[np.int64]] = field(default_factory=dict)
    last: int = -1

    def add(self, columns: Mapping[str, NDArray[Any]]) -> None:
        if not columns["problem"].size:
            return
        class_ = columns["is_correct"].astype(np.int64) + 1
        difficulty = columns["difficulty"].astype(np.int64) + 1
        source = columns["source"].astype(np.int64) + 1
        width = int(difficulty.max()) + 1
        graded = source * width + difficulty
        for key, times in _counted(graded * 3 + class_):
            self.rows[key // 3 // width - 1, key // 3 % width - 1, key % 3] += times
        firsts = np.flatnonzero(np.diff(columns["problem"], prepend=self.last))
        self.last = int(columns["problem"][-1])
        of_problems, ratings = graded[firsts], columns["cf_rating"][firsts]
        for key, times in _counted(of_problems):
            self.problems[key // width - 1, key % width - 1] += times
        self._rate(of_problems[ratings > 0], ratings[ratings > 0], width)
        total = np.zeros(class_.size, np.int64)
        for name in _TOKENS:
            total += columns[name]
        for value in range(len(_CLASSES)):
            found = np.bincount(total[class_ == value])
            if not found.size:
                continue
            known = self.tokens.get(value, np.zeros(0, np.int64))
            longer = np.zeros(max(found.size, known.size), np.int64)
            longer[: found.size] += found
            longer[: known.size] += known
            self.tokens[value] = longer

    def _rate(self, graded: NDArray[Any], ratings: NDArray[Any], width: int) -> None:
        for key in np.unique(graded).tolist():
            here = ratings[graded == key]
            of = key // width - 1, key % width - 1
            known = self.ratings.setdefault(of, [0, int(here[0]), int(here[0])])
            known[0] += here.size
            known[1], known[2] = min(known[1], int(here.min())), max(known[2], int(here.max()))

    def scales(self) -> Scales:
        grades = []
        for of, problems in sorted(self.problems.items()):
            by_class = {
                _CLASSES[class_]: times
                for (*graded, class_), times in sorted(self.rows.items(), reverse=True)
                if tuple(graded) == of
            }
            rated, least, most = self.ratings.get(of, (0, None, None))
            source, difficulty = (None if value < 0 else value for value in of)
            grades.append(Grade(source, difficulty, problems, by_class, rated, least, most))
        lengths = {
            _CLASSES[class_]: _length(times)
            for class_, times in sorted(self.tokens.items(), reverse=True)
        }
        return Scales(grades, lengths)


def _counted(keys: NDArray[np.int64]) -> list[tuple[int, int]]:
    """The numbers that occur, with how often each does."""
    if keys.size and int(keys.max()) < _DENSE:
        counts = np.bincount(keys)
        values = np.flatnonzero(counts)
        return list(zip(values.tolist(), counts[values].tolist(), strict=True))
    values, times = np.unique(keys, return_counts=True)
    return list(zip(values.tolist(), times.tolist(), strict=True))


def _length(times: NDArray[np.int64]) -> Length:
    rows = int(times.sum())
    until = np.cumsum(times)
    tokens = np.arange(times.size)
    bins = np.add.reduceat(times, np.arange(0, times.size, TOKEN_BIN))
    return Length(
        rows,
        float(times @ tokens) / rows,
        int(np.searchsorted(until, -(-rows // 2))),
        int(np.searchsorted(until, -(-rows * 19 // 20))),
        times.size - 1,
        bins.tolist(),
    )
