"""What one pass over the lines of a split found: what its checks are computed from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LineFacts:
    """What the contract's metadata file says of each line: is_correct (1, 0; -1: absent) and
    difficulty (-1: null), an element per line."""

    is_correct: NDArray[np.int8]
    difficulty: NDArray[np.int16]


@dataclass
class ScannedRows:
    """How much was found, and the first few things that were wrong, each named by its line.

    `classes` counts correct, incorrect, absent and not boolean; `without_tests` names rows whose
    `tests_field` is empty. `facts` is None where a line is not as the schema says.
    """

    rows: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    difficulties: Counter[Any] = field(default_factory=Counter)
    not_json: list[str] = field(default_factory=list)
    not_schema: list[str] = field(default_factory=list)
    not_index: list[str] = field(default_factory=list)
    facts: LineFacts | None = None
    tests_field: str | None = None
    without_tests: list[str] = field(default_factory=list)
    repeated_task_ids: int = 0
    digest: str = ""
    bytes: int = 0
