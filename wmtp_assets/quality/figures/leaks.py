"""Leaks of a split: how many of its rows hold which evaluation sets, and the first of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from wmtp_assets.corpora.annotations import AnnotationFile
from wmtp_assets.corpora.row_index import as_numpy
from wmtp_assets.quality.figures.footer import stated_counts

SHOWN: Final = 20
"""Pairs that are given whole; all of them are in the file."""
_BY: Final = ("dataset", "split", "how", "field")


@dataclass(frozen=True)
class LeakCount:
    """How many pairs there are with texts of one evaluation split, of one kind and field; the
    number of rows that are in them."""

    dataset: str
    split: str
    how: str
    field: str
    pairs: int
    rows: int


@dataclass(frozen=True)
class Leak:
    """A pair: row `row` of the split, and row `row_there` of an evaluation split, whose texts are
    the same but for what `how` says; both are excerpts, of text that others wrote."""

    row: int
    dataset: str
    split: str
    row_there: int
    how: str
    field: str
    score: float
    excerpt: str
    excerpt_there: str


@dataclass(frozen=True)
class Leaks:
    """`rows` of the split are in `pairs` pairs. `shown` are the first `SHOWN` pairs, each kind of
    pair in turn, so that no frequent one hides the others. `references` counts the rows of each set
    that was searched for, as the file states it."""

    rows: int
    pairs: int
    counts: Sequence[LeakCount]
    shown: Sequence[Leak]
    references: Mapping[str, int] = field(default_factory=dict)


def leaks_of(file: AnnotationFile) -> Leaks:
    """Counts the pairs of a file. Raises CorpusError where it is damaged."""
    rows = as_numpy(file.by_row()["row"])
    words = file.table(_BY)
    keys = list(zip(*(words[name].to_pylist() for name in _BY), strict=True))
    times = Counter(keys)
    kinds = sorted(times)
    number = {key: place for place, key in enumerate(kinds)}
    of_kind = np.fromiter((number[key] for key in keys), np.int64, len(keys))
    counts = [
        LeakCount(
            dataset, split, how, of_field, times[key], int(np.unique(rows[of_kind == place]).size)
        )
        for place, key in enumerate(kinds)
        for dataset, split, how, of_field in [key]
    ]
    chosen = _in_turn([np.flatnonzero(of_kind == at)[:SHOWN].tolist() for at in number.values()])
    shown = [Leak(**pair) for pair in file.table().take(chosen).to_pylist()] if chosen else []
    searched = stated_counts(file, "references")
    return Leaks(int(np.unique(rows).size), rows.size, counts, shown, searched)


def _in_turn(places: Sequence[Sequence[int]]) -> list[int]:
    """The first `SHOWN` of all lists, one of each in turn."""
    longest = max(map(len, places), default=0)
    turns = [each[turn] for turn in range(longest) for each in places if turn < len(each)]
    return turns[:SHOWN]
