"""How a format's rows are executed: against which tests, and with which limits.

Only said here, as plain text: nothing of upstream is executed, or parsed as a program, in this
package. What executes is in `execution/`, what is made of it in `quality/`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from wmtp_assets.corpora.row_parser import Row

DEFAULT_SECONDS: Final = 10.0
DEFAULT_MEMORY: Final = 1 << 30
LEAST_MEMORY: Final = 256 << 20
"""Bytes. Smaller limits of contests were set for interpreters that take less for themselves."""
TIME_FACTOR: Final = 2.0
"""By which a contest's time limit is multiplied: many of the solutions that upstream calls Python
were accepted with PyPy, and all of them on other machines."""

_TOP_LEVEL: Final = re.compile(r"^(?:async[ \t]+)?(?:def|class)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)
_WORD: Final = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class RowLimits:
    """What one execution may take: seconds of CPU for one test, and bytes of memory."""

    seconds: float = DEFAULT_SECONDS
    memory_bytes: int = DEFAULT_MEMORY


@dataclass(frozen=True)
class Programs:
    """Rows are programs, judged by their problem's tests (`DatasetFormat.evaluation`): each reads a
    test's input and must print its output.

    `time_limit` and `memory_limit` name the facts of a problem that hold its limits.
    """

    time_limit: str
    memory_limit: str

    def limits(self, facts: Mapping[str, Any]) -> RowLimits:
        """The limits of a problem with these facts; the defaults where it states none."""
        stated = facts.get(self.time_limit) or {}
        seconds = (stated.get("seconds") or 0) + (stated.get("nanos") or 0) / 1e9
        memory = facts.get(self.memory_limit) or 0
        return RowLimits(
            seconds * TIME_FACTOR if seconds > 0 else DEFAULT_SECONDS,
            max(memory, LEAST_MEMORY) if memory > 0 else DEFAULT_MEMORY,
        )


@dataclass(frozen=True)
class FunctionRow:
    """One row to be executed: the program that defines the functions, the program that tests them,
    and the names of the functions (or classes) that the tests use."""

    solution: str
    tests: str
    entry_points: tuple[str, ...]


@dataclass(frozen=True)
class Functions:
    """Rows define functions, and hold the program that tests them. `of` makes it of a row."""

    of: Callable[[Row], FunctionRow]
    limits: RowLimits = RowLimits()


Runnable = Programs | Functions


def function_row(solution: str, tests: str, *always: str) -> FunctionRow:
    """`solution` and `tests`, with the names that the one defines at its top level and the other
    uses, those of `always` first. By their texts alone."""
    used = set(_WORD.findall(tests))
    defined = (name for name in _TOP_LEVEL.findall(solution) if name in used)
    return FunctionRow(solution, tests, tuple(dict.fromkeys([*always, *defined])))
