"""What a sample is asked for by: bins of values, stages of a curriculum, a share, a count, a seed.

Checked before any row is looked at: a request is accepted or refused whatever the rows are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.selection import whole_number

Bins = Mapping[tuple[int, int], float]


@dataclass(frozen=True)
class Stage:
    """A part of a curriculum: up to `until` (a fraction of the sample, rising to 1.0) rows come
    from `bins`, {(lowest, highest): weight}, both ends included."""

    until: float
    bins: Bins


def check_bins(bins: Bins) -> None:
    """Raise CorpusError unless `bins` maps ranges that share no value to weights, not all 0."""
    if not isinstance(bins, Mapping) or not bins:
        raise CorpusError(
            "Bins are needed",
            expected="{(lowest, highest): weight}, at least one",
            found=repr(bins),
            hint="Give each bin's range, both ends included, and its weight.",
        )
    for bounds in bins:
        check_range(bounds, "A bin")
    for lower, upper in itertools.pairwise(sorted(bins)):
        if upper[0] <= lower[1]:
            raise CorpusError(
                "Bins overlap",
                expected="bins that share no value (both ends are included)",
                found=f"{lower} and {upper}",
                hint="Begin each bin above the end of the one before it.",
            )
    weights = list(bins.values())
    if not all(_is_number(weight) and 0 <= weight < math.inf for weight in weights) or not any(
        weights
    ):
        raise CorpusError(
            "Weights must be positive numbers, or 0",
            expected="finite numbers from 0, not all of them 0",
            found=weights,
            hint="Give each bin the weight of its part of the sample.",
        )


def check_range(bounds: object, what: str) -> None:
    """Raise CorpusError unless `bounds` is (lowest, highest): numbers, the first not above the
    second."""
    if (
        not isinstance(bounds, (tuple, list))
        or len(bounds) != 2
        or not all(map(_is_number, bounds))
        or not bounds[0] <= bounds[1]  # which is not so of a NaN
    ):
        raise CorpusError(
            f"{what} must be a range of numbers",
            expected="(lowest, highest), both included, the first not above the second",
            found=repr(bounds),
            hint="Give two numbers, the lower one first.",
        )


def check_stages(stages: Sequence[Stage]) -> None:
    """Raise CorpusError unless `stages` rise to 1.0 and each has bins."""
    ends = [stage.until for stage in stages]
    rising = all(map(_is_number, ends)) and all(
        before < after for before, after in itertools.pairwise([0.0, *ends])
    )
    if not ends or not rising or ends[-1] != 1.0:
        raise CorpusError(
            "Stages must rise to 1.0",
            expected="e.g. 0.3, 0.7, 1.0",
            found=ends,
            hint="Say for each stage up to which fraction of the sample it lasts.",
        )
    for stage in stages:
        check_bins(stage.bins)


def check_share(share: float) -> None:
    """Raise CorpusError unless `share` is a fraction."""
    if not _is_number(share) or not 0 <= share <= 1:
        raise CorpusError(
            "A share must be between 0 and 1",
            expected="the fraction of rows that are correct",
            found=repr(share),
            hint="Give 0.5 for as many correct rows as incorrect ones.",
        )


def checked_cap(cap: object) -> int | None:
    """`cap` as an int, or None for none. Raises CorpusError unless it is a whole number from 1."""
    return None if cap is None else _checked_whole(cap, "max_pairs_per_problem", least=1)


def checked_edges(edges: object) -> list[float]:
    """`edges` of bins as a list. Raises CorpusError unless they are ascending numbers."""
    found = list(edges) if isinstance(edges, Sequence) and not isinstance(edges, str) else []
    if (
        not found
        or not all(map(_is_number, found))
        or not all(before < after for before, after in itertools.pairwise(found))
    ):
        raise CorpusError(
            "The edges of length bins must be ascending numbers",
            expected="e.g. [0, 100, 150, 200, 300, 500, 1000, 2000]",
            found=repr(edges),
            hint="Give each bin's lowest length, in ascending order.",
        )
    return found


def checked_count(count: object) -> int:
    """`count` as an int. Raises CorpusError unless it is a whole number from 0."""
    return _checked_whole(count, "A count of rows", least=0)


def checked_seed(seed: object) -> int:
    """`seed` as an int: any whole number. Raises CorpusError for anything else."""
    return _checked_whole(seed, "A seed", least=None)


def checked_rank(rank: object, world: object) -> tuple[int, int]:
    """Both as ints. Raises CorpusError unless 0 <= rank < world."""
    found = (
        _checked_whole(rank, "A rank", least=0),
        _checked_whole(world, "A number of ranks", least=1),
    )
    if found[0] >= found[1]:
        raise CorpusError(
            "A rank must be below the number of ranks",
            expected=f"0 to {found[1] - 1}",
            found=rank,
            hint="Ranks count from 0.",
        )
    return found


def parts_by_weight(count: int, weights: list[float]) -> list[int]:
    """`count` divided by weight, summing to it: the largest remainders get the odd rows."""
    if not math.isfinite(count * sum(weights)):
        weights = [weight / max(weights) for weight in weights]
    total = sum(weights)
    exact = [count * weight / total for weight in weights]
    parts = [int(part) for part in exact]
    by_remainder = sorted(range(len(parts)), key=lambda at: (parts[at] - exact[at], at))
    for at in by_remainder[: count - sum(parts)]:
        parts[at] += 1
    return parts


def _checked_whole(value: object, what: str, least: int | None) -> int:
    found = whole_number(value)
    if found is None or (least is not None and found < least):
        raise CorpusError(
            f"{what} must be a whole number",
            expected="an integer" + (f" from {least}" if least is not None else ""),
            found=repr(value),
            hint="Give an int.",
        )
    return found


def _is_number(value: object) -> bool:
    kinds = (int, float, np.integer, np.floating)
    return isinstance(value, kinds) and not isinstance(value, bool) and value == value
