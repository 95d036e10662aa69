"""Ten questions that a person brings to the page, and where the lineage answers each in two clicks.

The first click opens a group in the list beside the graph, the second an asset, whose panel opens
at the right. docs/ten-questions.md lists the same, with the pictures that the test takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Question:
    """A question, the two clicks, and its answer: expressions that texts of the panel match, the
    picture is taken at the first. `picture` is its file's name."""

    asked: str
    group: str
    asset: str
    answers: Sequence[str]
    picture: str


_MODEL = ("meta_llama_mtp", "meta-llama-mtp")
_ROWS = ("codecontests", "codecontests_train")
_GATE = ("gate", "phase2_readiness")

QUESTIONS: Final = (
    # The sample has no commit, and says so.
    Question("Which commit is it from?", *_MODEL, [r"From:", r"it has no commit"], "commit"),
    Question(
        "Is it really float16, and what verified that?",
        *_MODEL,
        [r"before: float32; after: float16", r"^dtype_of_every_tensor$"],
        "dtype",
    ),
    Question("How many solutions are wrong?", *_ROWS, [r"188 correct .* 193 incorrect"], "classes"),
    Question(
        "How hard are the problems?", *_ROWS, [r"blue: correct, orange: incorrect"], "difficulty"
    ),
    Question(
        "What was dropped, and why?",
        *_ROWS,
        [r"^longer than 2,048 tokens \(counted\)$", r"^upstream, in Python$", r"^kept$"],
        "dropped",
    ),
    Question(
        "When was it last verified?",
        *_GATE,
        [r"Computed \d{4}-.* UTC, by [\d,]+ checks"],
        "verified",
    ),
    Question("Has it changed since last week?", *_ROWS, [r"^changed$"], "changed"),
    Question("May I redistribute it?", *_MODEL, [r"Licence:", r"Redistribution:"], "licence"),
    Question(
        "What does red mean, and what should I do?",
        *_ROWS,
        [r"If red:", r"^wmtp materialize datasets/codecontests_train --force$"],
        "red",
    ),
    Question("How do I get full size?", *_MODEL, [r"Full size:", r"WMTP_CATALOG="], "full-size"),
)
