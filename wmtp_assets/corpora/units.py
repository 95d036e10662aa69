"""Which problems are formatted together: a unit of them, in the order of the source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wmtp_assets.corpora.records import Problem

UNIT_BYTES = 300_000  # text of problems formatted together: enough to batch, small enough to cache
UNIT_LINES = 3_000_000  # bytes of the lines that a unit makes: many short solutions make long ones


def weight(problem: Problem) -> tuple[int, int]:
    """Bytes of a problem's texts, and of the lines that are made of them, about."""
    shared = len(problem.instruction) + len(problem.input)
    text, lines = shared, 0
    for solutions in problem.solutions:
        size = sum(map(len, filter(None, solutions.texts)))
        text += size
        lines += size + shared * len(solutions.texts)
    return text, lines


class Filling:
    """Says of one problem after the other whether its unit is full with it."""

    def __init__(self) -> None:
        self._text = self._lines = 0

    def is_full(self, text: int, lines: int) -> bool:
        """Takes the `weight` of the next problem; a unit that is full is followed by another."""
        self._text += text
        self._lines += lines
        if self._text < UNIT_BYTES and self._lines < UNIT_LINES:
            return False
        self._text = self._lines = 0
        return True


def units(problems: Iterable[Problem]) -> Iterator[list[Problem]]:
    """The problems in units."""
    filling, unit = Filling(), list[Problem]()
    for problem in problems:
        unit.append(problem)
        if filling.is_full(*weight(problem)):
            yield unit
            unit = []
    if unit:
        yield unit
