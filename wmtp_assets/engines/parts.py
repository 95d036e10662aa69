"""Parts of a whole: how numbers of rows are written in a task, and where rows may be parted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Runs = list[list[int]]
"""Ascending numbers as plain data: [first, how many] of each run without a gap."""


def runs_of(rows: NDArray[np.int64]) -> Runs:
    """Ascending numbers as runs."""
    if not rows.size:
        return []
    begins = np.flatnonzero(np.diff(rows, prepend=rows[0] - 2) != 1)
    lengths = np.diff(np.append(begins, rows.size))
    return np.stack([rows[begins], lengths], axis=1).tolist()  # type: ignore[no-any-return]


def rows_of(runs: Iterable[Iterable[int]]) -> NDArray[np.int64]:
    """The numbers that runs stand for."""
    every = [np.arange(first, first + size, dtype=np.int64) for first, size in runs]
    return np.concatenate(every) if every else np.zeros(0, np.int64)


def divided(
    rows: NDArray[np.int64], groups: NDArray[Any], parts: int, least: int = 1
) -> list[NDArray[np.int64]]:
    """`rows` in at most `parts` parts, in order, of about as many rows each and at least `least`.

    `groups` has the group of each row, whose rows follow each other; no group is parted. No part is
    empty, but that there is one part where there are no rows.
    """
    parts = max(1, min(parts, rows.size // least))
    ends = np.flatnonzero(np.diff(groups)) + 1  # where a group ends, but for the last one
    wanted = np.arange(1, parts) * rows.size / parts
    at = np.searchsorted(ends, wanted)
    cuts = np.unique(ends[at[at < ends.size]])
    return np.split(rows, cuts)
