"""What one pass over the lines of a split found: what its checks are computed from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.overlap import TextHashes

TRAINING_DIFFICULTIES: Final = (1, 11)  # of the first phase, both included
LINES_OWN: Final = "the lines' own counts"
"""What the statistics of a metadata file must be."""


@dataclass(frozen=True)
class LineFacts:
    """What the contract's metadata files say of each line: is_correct (1, 0; -1: absent) and
    difficulty (-1: none), an element per line. `problems` says from which line on the problem is
    which by the task ids (None: they name none)."""

    is_correct: NDArray[np.int8]
    difficulty: NDArray[np.int16]
    problems: Sequence[tuple[int, str | None]] = ()


@dataclass(frozen=True)
class ExpectedRows:
    """How many rows a split has, in all and per class (None: any number), and the lowest and the
    highest difficulty that training samples from."""

    rows: int | None = None
    correct: int | None = None
    incorrect: int | None = None
    of_others: Mapping[str, int] = field(default_factory=dict)
    """The number of rows of the dataset's other splits, by their names."""
    training_difficulties: tuple[int, int] = TRAINING_DIFFICULTIES


@dataclass
class ScannedRows:
    """How much was found, and the first few things that were wrong, each named by its line.

    `classes` counts correct, incorrect, absent and not boolean; `by_class` counts difficulties in
    each of them; `without_tests` names rows whose `tests_field` is empty. `facts` is None where a
    line is not as the schema says. `texts` has the hashes of instructions and outputs, by the
    field's name.
    """

    rows: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    difficulties: Counter[Any] = field(default_factory=Counter)
    by_class: dict[str, Counter[Any]] = field(default_factory=dict)
    not_json: list[str] = field(default_factory=list)
    not_schema: list[str] = field(default_factory=list)
    not_index: list[str] = field(default_factory=list)
    facts: LineFacts | None = None
    texts: dict[str, TextHashes] = field(default_factory=dict)
    tests_field: str | None = None
    without_tests: list[str] = field(default_factory=list)
    repeated_task_ids: int = 0
    digest: str = ""
    bytes: int = 0
