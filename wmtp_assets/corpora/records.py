"""What a training row is: its fields, their order, and its bytes.

A line is `json.dumps(record)` of the standard library and one newline (ASCII escapes, ", " and
": "). Rows of one problem share everything but the solution, so a line is made of three parts: a
head (instruction and input), the escaped output, and a tail (task id, class, metadata).

    {instruction, input, output, task_id, the format's other fields, metadata}

What drops a row, and what becomes of upstream's odd values in code_contests (none stops a run; the
statistics' funnel counts them, and what it drops by class as well):

- A solution that is not in Python (2 or 3) is no row: the most frequent reason. Such solutions are
  counted, and left out before they are read (`formats/code_contests.py`).
- A row of more tokens (instruction, input and output) than the catalog's `max_tokens` is left out
  (`formatting`).
- A null solution is no row. A blank one (empty, or nothing but white space) is a row, flagged
  EMPTY_OUTPUT, and so is a row whose description is null or blank, flagged EMPTY_INSTRUCTION: the
  published counts keep every row, and a sampler can leave flagged ones out (`exclude_flagged`).
- Text that is not UTF-8 (lone surrogates, cut sequences) has each bad byte replaced by U+FFFD, as
  Python's `errors="replace"` does, because a lone surrogate in the JSON stops strict readers. Its
  rows are flagged REPAIRED.
- A null description, name, source, difficulty or rating reads as upstream's own "unknown": an empty
  text or 0. A null list is an empty list. A test with an empty side is left out of the input.
- A name that several problems of a split share is replaced, for every one of them, by
  `{name}@{source}`, or by `{name}@{source}.{k}` (k counts from 0 in upstream's order) where that is
  not unique either. A unique name stays plain.

A task of an evaluation set that lacks a text it needs is refused instead (`solved_tasks`): a score
over fewer tasks is another score.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

PYTHON3: Final = 3  # as code_contests numbers languages
LANGUAGES: Final[Mapping[int, str]] = {1: "Python 2", PYTHON3: "Python 3"}

# Bits of the row index's `flags`.
REPAIRED: Final = 1
EMPTY_OUTPUT: Final = 2
SHARED_NAME: Final = 4
EMPTY_INSTRUCTION: Final = 8

# What json.dumps does to a string, without json.dumps' own cost.
quoted: Final = json.encoder.encode_basestring_ascii


@dataclass(frozen=True, slots=True)
class Solutions:
    """Solutions of one class of one problem, as upstream orders them.

    `texts` are UTF-8 as upstream holds it (None: null); the tail of row i is
    `tail_before + suffixes[i] + tail_after`. `is_correct` is None where rows have no class.
    `others` counts solutions of the class in languages that give no row.
    """

    is_correct: bool | None
    tail_before: str
    tail_after: str
    suffixes: list[str]
    languages: list[int]
    texts: list[bytes | None]
    others: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of upstream with the solutions that are candidates for a row.

    `matched`: whether another dataset, which gives the difficulty, has the problem; None where the
    source has difficulties of its own, or none.
    """

    ordinal: int
    instruction: bytes
    input: bytes
    difficulty: int | None
    source: int | None
    cf_rating: int | None
    flags: int
    solutions: tuple[Solutions, ...]
    matched: bool | None = None


@dataclass(frozen=True)
class PlainSolution:
    """A candidate for a row in plain values: its text as upstream holds it (None: null), and the
    `fields` between output and metadata."""

    text: bytes | None
    fields: Mapping[str, Any]
    language: int = PYTHON3


@dataclass(frozen=True)
class PlainProblem:
    """One problem in plain values, as the comparison with the source makes its rows; `metadata` are
    the values of the format's `metadata_fields`, `others` counts solutions by class in languages
    that give no row."""

    instruction: bytes | None
    solutions: Sequence[PlainSolution]
    input: bytes = b""
    has_tests: bool = True
    difficulty: int | None = None
    source: int | None = None
    cf_rating: int | None = None
    flags: int = 0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    matched: bool | None = None
    others: Mapping[bool, int] = field(default_factory=dict)


def repaired_text(raw: bytes) -> tuple[str, bool]:
    """`raw` as text, and whether malformed bytes in it had to be replaced by U+FFFD."""
    try:
        return raw.decode("utf-8"), False
    except UnicodeDecodeError:
        return raw.decode("utf-8", errors="replace"), True


def plain_text(raw: bytes | None) -> str:
    """`raw` as text, malformed bytes replaced; null is an empty text."""
    return repaired_text(raw or b"")[0]


def is_blank(text: str) -> bool:
    """Whether `text` is empty or nothing but white space."""
    return not text or text.isspace()


def is_malformed(raw: bytes | None) -> bool:
    """Whether `raw` is not UTF-8."""
    return repaired_text(raw or b"")[1]


def head_of(instruction: str, input_text: str) -> str:
    """The part of a line before its output."""
    return f'{{"instruction": {quoted(instruction)}, "input": {quoted(input_text)}, "output": '


def unique_names(names: Sequence[str], sources: Sequence[int]) -> list[str]:
    """A task name per problem, unique within the split; names that are unique stay plain."""
    times = Counter(names)
    with_source = [f"{name}@{source}" for name, source in zip(names, sources, strict=True)]
    times_with_source = Counter(
        longer for name, longer in zip(names, with_source, strict=True) if times[name] > 1
    )
    taken = {name for name in names if times[name] == 1}
    seen: Counter[str] = Counter()
    result = []
    for name, longer in zip(names, with_source, strict=True):
        if times[name] == 1:
            result.append(name)
        elif times_with_source[longer] == 1 and longer not in taken:
            result.append(longer)
        else:
            # A plain name that happens to look like a numbered one keeps it: skip that number.
            while f"{longer}.{seen[longer]}" in taken:
                seen[longer] += 1
            result.append(f"{longer}.{seen[longer]}")
            seen[longer] += 1
    return result
