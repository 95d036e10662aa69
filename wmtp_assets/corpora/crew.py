"""Formatting units of problems on several processes, results in the order of the units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from .formatting import Formatted, format_problems
from .records import Problem
from .tokens import TokenCounter


def format_in_order(
    units: Iterable[list[Problem]],
    tokenizer: Path,
    max_tokens: int,
    processes: int | None,
) -> Iterator[Formatted]:
    counter = TokenCounter(tokenizer)
    for unit in units:
        yield format_problems(unit, counter, max_tokens)
