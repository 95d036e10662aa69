"""Problems of which more than one output is correct: their rows are not counted as wrong.

Upstream stores one output for each test, and a checker of the contest accepted others. That is seen
in two ways: by the words of the statement, or by solutions that the contest accepted and that print
different things. Both are rules that a reader can apply by hand; docs/data-quality.md states them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

PHRASES: Final = (
    "any of them",
    "any one of them",
    "any of these",
    "any of the possible",
    "print any",
    "output any",
    "return any",
    "any valid",
    "any correct",
    "any suitable",
    "any acceptable",
    "any optimal",
    "in any order",
    "in arbitrary order",
    "multiple answers",
    "multiple solutions",
    "multiple possible answers",
    "multiple possible solutions",
    "multiple valid",
    "multiple correct",
    "multiple optimal",
    "several answers",
    "several solutions",
    "several possible answers",
    "several possible solutions",
    "several valid",
    "several correct",
    "several optimal",
    "more than one answer",
    "more than one solution",
    "more than one possible",
    "more than one optimal",
)
"""What a statement says of several correct outputs, in small letters and with single spaces."""

CASELESS_PHRASES: Final = (
    "in any case",
    "in any register",
    "case insensitive",
    "case-insensitive",
    "upper or lower case",
    "any letter case",
)
"""What a statement says where `YES`, `Yes` and `yes` are the same output."""

_SEVERAL: Final = re.compile("|".join(rf"\b{re.escape(one)}\b" for one in PHRASES))
_CASELESS: Final = re.compile("|".join(rf"\b{re.escape(one)}\b" for one in CASELESS_PHRASES))


def said_to_be_several(statement: str) -> bool:
    """Whether a statement says that several outputs are correct, by `PHRASES`."""
    return _SEVERAL.search(_plain(statement)) is not None


def said_to_be_caseless(statement: str) -> bool:
    """Whether a statement says that capital letters do not matter, by `CASELESS_PHRASES`."""
    return _CASELESS.search(_plain(statement)) is not None


def _plain(statement: str) -> str:
    return " ".join(statement.casefold().split())


@dataclass(frozen=True)
class Ran:
    """How far a solution that upstream labels correct came: `tests` run, the last one included,
    whether it `passed` them all, and, where it finished the last one with another output than the
    stored one, a digest of that output (`answer`; else "")."""

    tests: int
    passed: bool
    answer: str


def seen_to_be_several(correct: Iterable[Ran]) -> bool:
    """Whether solutions that are labelled correct show that a problem has several correct outputs:
    on one test at least two of them finish with outputs that differ from the stored one and from
    each other, and not fewer print something else than print the stored output.

    The second half keeps a few wrong labels from excusing themselves.
    """
    given = list(correct)
    others: defaultdict[int, list[str]] = defaultdict(list)
    for one in given:
        if one.answer:
            others[one.tests].append(one.answer)
    return any(
        len(set(outputs)) >= 2
        and len(outputs)
        >= sum(one.tests > test or (one.passed and one.tests >= test) for one in given)
        for test, outputs in others.items()
    )
