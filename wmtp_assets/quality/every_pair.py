"""Near-duplicates once more, without MinHash: every two solutions of problems drawn at random."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora import ordering
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.quality.clusters import THRESHOLD
from wmtp_assets.quality.duplicates import problems_of, solutions_of
from wmtp_assets.quality.shingles import Shingles

LEAST_FOUND: Final = 0.99
"""Of the pairs that are near-duplicates, the share that must be of one cluster."""

_PAIRS = 40_000  # compared at most, some microseconds each
_SOLUTIONS = 200  # of one problem at most


@dataclass
class EveryPair:
    """What comparing every pair found. `seed` draws the same problems again.

    problems, pairs: how many were compared. near: pairs that are near-duplicates; missed: those of
    them that are not of one cluster, `examples` the first, as rows. unrelated: rows that share a
    cluster with others, and no chain of near-duplicates leads to the first of these.
    """

    seed: int
    problems: int = 0
    pairs: int = 0
    near: int = 0
    missed: int = 0
    unrelated: int = 0
    examples: list[tuple[int, int]] = field(default_factory=list)


def compare_some(
    corpus: Corpus,
    cluster: NDArray[Any],
    seed: int | None = None,
    problems: int | None = None,
    pairs: int | None = _PAIRS,
) -> EveryPair:
    """Compare some problems' solutions with each other, and with their clusters.

    `seed` draws the problems (None: a fresh one), as many as are given (None: any number) with no
    more pairs than given. Of a problem with many solutions some are drawn.
    """
    found = EveryPair(secrets.randbelow(1 << 31) if seed is None else seed)
    every = [rows for rows in problems_of(corpus) if rows.size > 1]
    for number in ordering.shuffled(np.arange(len(every)), found.seed).tolist():
        rows = np.sort(ordering.drawn(every[number], _SOLUTIONS, found.seed))
        more = rows.size * (rows.size - 1) // 2
        if found.problems and pairs is not None and found.pairs + more > pairs:
            break
        found.problems += 1
        found.pairs += more
        _compare(found, rows, solutions_of(corpus, rows), cluster, rows.size == every[number].size)
        if found.problems == problems:
            break
    return found


def near_pairs(texts: Sequence[bytes]) -> list[tuple[int, int]]:
    """Every pair of texts that are near-duplicates: the same tokens, or `THRESHOLD`."""
    shingles = Shingles.of(texts)
    begins, ends = shingles.begins.tolist(), shingles.ends.tolist()
    sets = [
        frozenset(shingles.values[begin:end].tolist())
        for begin, end in zip(begins, ends, strict=True)
    ]
    found = []
    for one, other in itertools.combinations(range(len(texts)), 2):
        a, b = sets[one], sets[other]
        least, most = sorted((len(a), len(b)))
        if least < THRESHOLD * most:
            continue
        shared = len(a & b)
        if a == b or shared >= THRESHOLD * (len(a) + len(b) - shared):
            found.append((one, other))
    return found


def _compare(
    found: EveryPair,
    rows: NDArray[np.int64],
    texts: list[bytes],
    cluster: NDArray[Any],
    whole: bool,
) -> None:
    """Add one problem. Of one that is not `whole`, a chain may lead through rows not drawn."""
    near = near_pairs(texts)
    of_row = cluster[rows].tolist()
    found.near += len(near)
    label = list(range(len(texts)))
    for one, other in near:
        if of_row[one] != of_row[other]:
            found.missed += 1
            found.examples.append((int(rows[one]), int(rows[other])))
        here, there = label[one], label[other]
        if here != there:
            label = [here if each == there else each for each in label]
    del found.examples[5:]
    if whole:
        of_cluster: dict[int, int] = {}
        for name, connected in zip(of_row, label, strict=True):
            found.unrelated += of_cluster.setdefault(name, connected) != connected
