"""The funnel of a split, and what a publication states of the same solutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.funnel import CLASSES, DROPPED, ENDINGS, STEPS

ALL: Final = "all"
_ROUNDED = 0.05  # a publication gives solutions per problem with one digit behind the point


@dataclass(frozen=True)
class Stated:
    """Python solutions by a publication's count per problem: `expected` of them in the whole split,
    give or take `rounding`; `found` of them in upstream's files, before any was left out."""

    per_problem: float
    expected: int
    rounding: int
    found: int

    @property
    def beyond(self) -> int:
        """How many more were found than rounding explains; fewer are negative."""
        off = self.found - self.expected
        return 0 if abs(off) <= self.rounding else off


@dataclass(frozen=True)
class Funnel:
    """What became of upstream's solutions: by step of `corpora.funnel`, then by class (`ALL`,
    correct, incorrect). Statistics of an earlier version have no classes and no other languages."""

    problems: int
    max_tokens: int
    steps: Mapping[str, Mapping[str, int]]
    stated: Stated | None = None

    @property
    def columns(self) -> Sequence[str]:
        """`ALL`, and the classes where they are counted apart."""
        return [name for name in (ALL, *CLASSES) if name in self.steps.get("kept", {})]

    def count(self, step: str, of: str = ALL) -> int:
        """How many solutions a step counts; 0 where it counts none."""
        return self.steps.get(step, {}).get(of, 0)

    def left_out(self) -> dict[str, int]:
        """Candidates that are no rows, by reason; those that no reason explains under
        `other_reasons`."""
        found = {name: self.count(name) for name in DROPPED if self.count(name)}
        unexplained = self.count("candidates") - self.count("kept") - sum(found.values())
        return found | ({"other_reasons": unexplained} if unexplained else {})

    def per_problem(self, step: str) -> float:
        """The same for each problem of the split, with rows or without."""
        return self.count(step) / self.problems if self.problems else 0.0


def funnel_of(
    stats: Mapping[str, Any], row_format: DatasetFormat, *, as_published: bool = True
) -> Funnel:
    """The funnel of a statistics document; of a source without problems, nothing was counted.

    `as_published`: whether the source is the one that publications are about.
    """
    counts: Mapping[str, int] = stats["funnel"]
    steps = {
        step: {
            ending.removeprefix("_") or ALL: int(counts[f"{step}{ending}"])
            for ending in ENDINGS
            if f"{step}{ending}" in counts
        }
        for step in STEPS
        if step in counts
    }
    problems = int(counts.get("problems", 0))
    per_problem = row_format.python_solutions.get(str(stats["split"])) if as_published else None
    stated = None
    if per_problem is not None and problems:
        stated = Stated(
            per_problem,
            round(per_problem * problems),
            int(_ROUNDED * problems) + 1,
            int(counts.get("candidates", 0)),
        )
    return Funnel(problems, int(stats.get("max_tokens", 0)), steps, stated)
