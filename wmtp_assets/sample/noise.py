"""Rows of the sample that are not what their label says, or should not be there: as upstream's.

Executing the solutions and comparing their texts finds these; the platform's documents say what it
reports of them. NOISE says which problems have which, by number, and names no problem of
oddities.py. Each replaces a program in place, so that a split has as many rows with it as without.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from wmtp_assets.sample.problems import FAMILIES, Family
from wmtp_assets.sample.programs import PYTHON2, PYTHON3, python_program
from wmtp_assets.sample.row import Problem, Texts

Change: TypeAlias = Callable[[Problem, Family, int], None]
"""Changes a problem, given its family and the family's number `k`."""
Side: TypeAlias = Literal["solutions", "incorrect_solutions"]

_FRAME = 0  # of programs.py: Python 3 that reads line by line

# HumanEval's running_total with every name changed, and without its types and docstring.
_RENAMED = """\
def stacked(prices):
    height = 0
    towers = []
    for price in prices:
        height += price
        towers.append(height)
    return towers


"""

# MBPP's rotate_left in another layout.
_REFORMATTED = """\
def rotate_left( items,k ):
  if not items: return []  # nothing to turn
  k %= len( items )
  return ( items[k:]
           + items[:k] )

"""


def _last_python3(texts: Texts) -> int:
    return max(place for place, code in enumerate(texts["language"]) if code == PYTHON3)


def _replaced(side: Side, body: str, before: str = "") -> Change:
    """Another body in the place of the last Python 3 program, with `before` at its top."""

    def change(problem: Problem, family: Family, k: int) -> None:
        _, text = python_program(body, family, k, _FRAME)
        problem[side]["solution"][_last_python3(problem[side])] = before + text

    return change


def _endless(problem: Problem, family: Family, k: int) -> None:
    """A loop whose bounds never meet, and a limit that is short enough to wait for."""
    body = (
        "left, right = 0, len(a) - 1\npairs = 0\nwhile left < right:\n"
        "    if a[left] + a[right] == {k}:\n        pairs += 1\n"
        "    left = min(left + 1, right - 1)\nreturn pairs"
    )
    _replaced("incorrect_solutions", body)(problem, family, k)
    problem["time_limit"] = {"seconds": 0, "nanos": 500_000_000}


def _of_the_test_split(problem: Problem, family: Family, k: int) -> None:
    """A program for the family's problem in the test split, verbatim."""
    _, text = python_program(family.right[1], family, 8, 2)
    wrong = problem["incorrect_solutions"]
    wrong["solution"][_last_python3(wrong)] = text


def _called_python3(problem: Problem, family: Family, k: int) -> None:
    """Python 2 that upstream calls Python 3."""
    wrong = problem["incorrect_solutions"]
    wrong["language"][wrong["language"].index(PYTHON2)] = PYTHON3


def _in_both_classes(problem: Problem, family: Family, k: int) -> None:
    """A right program among the wrong ones as well, the same but for white space."""
    right, wrong = problem["solutions"], problem["incorrect_solutions"]
    text = right["solution"][_last_python3(right)].replace("    ", "\t").rstrip("\n")
    wrong["solution"][_last_python3(wrong)] = text


def _near_copy(problem: Problem, family: Family, k: int) -> None:
    """The first of the longer Python 3 programs once more, with a remark and one line changed."""
    texts = problem["solutions"]["solution"]
    text = next(one for one in texts if "lines[1:t + 1]" in one)
    copy = "# second attempt\n" + text.replace("lines[1:t + 1]", "lines[1:1 + t]")
    texts[_last_python3(problem["solutions"])] = copy


_RIGHT: Mapping[str, str] = {
    # Bodies that solve a family's problems, in other words than its own.
    "Counting Multiples": "return [x % {k} for x in a].count(0)",
    "Different Remainders": "seen = [False] * {k}\nfor x in a:\n    seen[x % {k}] = True\n"
    "return sum(seen)",
    "Carrying Sand": "from math import ceil\nreturn sum(ceil(x / {k}) for x in a)",
}

_LUCKY: Mapping[str, str] = {
    # Bodies that lose equal values, which not every test has.
    "Counting Multiples": "return len({{x for x in a if x % {k} == 0}})",
    "Heavy Parcels": "return sum({{x for x in a if x > {k}}})",
}


def _called_wrong(problem: Problem, family: Family, k: int) -> None:
    """A right program among the wrong ones."""
    _replaced("incorrect_solutions", _RIGHT[family.title])(problem, family, k)


def _called_right(problem: Problem, family: Family, k: int) -> None:
    """A wrong program among the right ones, which passes the public tests."""
    _replaced("solutions", _LUCKY[family.title])(problem, family, k)


NOISE: Mapping[int, Change] = {
    12: _called_wrong,
    41: _called_wrong,
    65: _called_wrong,
    76: _called_wrong,
    24: _called_right,
    49: _called_right,
    60: _called_right,
    72: _called_right,
    14: _endless,
    51: _replaced(
        "incorrect_solutions",
        "quiet = [0] * (1 << 30)\nfor i, x in enumerate(a):\n    quiet[i] = x <= {k}\n"
        "return sum(quiet)",
    ),
    18: _replaced(
        "solutions",
        "towers = [0] + stacked(a)\nwidth = min({k}, len(a))\n"
        "return max(y - x for x, y in zip(towers, towers[width:]))",
        _RENAMED,
    ),
    32: _replaced(
        "solutions",
        "letters = 'abcdefghijklmnopqrstuvwxyz'\nturned = rotate_left(list(letters), {k})\n"
        "return ''.join(turned[letters.index(c)] for c in a)",
        _REFORMATTED,
    ),
    46: _of_the_test_split,
    22: _called_python3,
    47: _in_both_classes,
    29: _near_copy,
}


def _first_loudest(hours: list[str]) -> int:
    return max(range(len(hours)), key=lambda hour: int(hours[hour])) + 1


SEVERAL_ANSWERS = Family(
    "The Loudest Hour",
    "{who} measured the noise in front of the house once an hour.",
    "the number of an hour in which it was loudest, counted from 1. If there are several answers,"
    " print any of them",
    False,
    lambda case, k: str(_first_loudest(case.split())),
    (
        "return a.index(max(a)) + 1",
        "best = 0\nfor i in range(len(a)):\n    if a[i] >= a[best]:\n        best = i\n"
        "return best + 1",
    ),
    (
        "return max(a)",
        "return a.index(max(a))",
        "return a.index(min(a)) + 1",
    ),
)
"""A family whose tests know one of several right answers only."""


def family_of(number: int) -> Family:
    """The family of a problem: of every problem's turn, but for those with several answers."""
    return SEVERAL_ANSWERS if number in (30, 68, 75) else FAMILIES[number % len(FAMILIES)]


def k_of(number: int) -> int:
    """The number that a problem's family is given: 2 to 6 in train, 7 in valid and 8 in test."""
    return 2 + number // len(FAMILIES)
