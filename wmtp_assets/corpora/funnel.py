"""The funnel of a split: what became of every solution of upstream's, in all and by class.

    other_languages     solutions in languages that give no row
    candidates          the others, of which
    null_solutions        have no text,
    too_long_by_bound     are longer than the limit, by a lower bound of their tokens,
    too_long_by_count     are longer, counted,
    kept                  are rows; rows_with_empty_output of them are blank, flagged and kept

Each step is counted under its name and, where rows have a class, under `{name}_correct` and
`{name}_incorrect` as well. The statistics hold these numbers beside counts of problems.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.records import Solutions

CLASSES: Final[Mapping[str, bool]] = {"correct": True, "incorrect": False}
DROPPED: Final = ("null_solutions", "too_long_by_bound", "too_long_by_count")
"""The steps at which candidates are left out."""
STEPS: Final = ("other_languages", "candidates", *DROPPED, "rows_with_empty_output", "kept")
ENDINGS: Final = ("", *(f"_{name}" for name in CLASSES))
"""What follows the name of a step: of all solutions, and of each class."""


def count(funnel: Counter[str], step: str, is_correct: bool | None, times: int = 1) -> None:
    """Counts solutions at a step of the funnel: in all, and by class where they have one."""
    funnel[step] += times
    if is_correct is not None:
        funnel[f"{step}_{'correct' if is_correct else 'incorrect'}"] += times


def count_steps(
    funnel: Counter[str], groups: Sequence[Solutions], steps: Mapping[str, NDArray[np.int64]]
) -> None:
    """Counts the solutions of each step, given as the numbers of their groups, and those in other
    languages."""
    for name, of_step in steps.items():
        funnel[name] = of_step.size
    if not groups or any(each.is_correct is None for each in groups):
        return
    is_correct = np.array([bool(each.is_correct) for each in groups], dtype=np.bool_)
    funnel["other_languages"] = sum(each.others for each in groups)
    for kind, value in CLASSES.items():
        for name, of_step in steps.items():
            funnel[f"{name}_{kind}"] = int(np.count_nonzero(is_correct[of_step] == value))
        others = (each.others for each in groups if each.is_correct is value)
        funnel[f"other_languages_{kind}"] = sum(others)


def added_up(funnel: Mapping[str, int], rows: int, classes: Mapping[str, int]) -> dict[str, int]:
    """What a funnel must say, by step, where `rows` rows are kept, `classes` of them by class (of
    rows without one, none), and so many were left out as it says."""
    expected = {}
    for ending, kept in {"": rows, **{f"_{name}": classes[name] for name in classes}}.items():
        expected[f"kept{ending}"] = kept
        dropped = (_whole(funnel, f"{name}{ending}") for name in DROPPED)
        expected[f"candidates{ending}"] = kept + sum(dropped)
    if classes:
        for name in STEPS:
            of_class = (_whole(funnel, f"{name}_{one}") for one in classes)
            expected.setdefault(name, sum(of_class))
    return expected


def _whole(funnel: Mapping[str, object], name: str) -> int:
    """A count of a document that anyone may have written; 0 where it is no whole number."""
    value = funnel.get(name)
    return value if type(value) is int else 0
