"""Executes the rows of a split that were drawn, and gives one line for each.

Programs are judged by upstream's tests of their problem, which are read problem by problem: of
those without a drawn row nothing is decoded, and the others' tests are in memory while their rows
are judged. Functions are judged by the tests that their rows hold.

What is measured (seconds, memory) differs from run to run. A verdict that is in the cache comes
with what was measured when it was found, so that the same rows give the same lines as long as the
cache is there; without it, verdicts are the same and measurements are new.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.evaluation import SIDES, ProblemTests
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.runnable import Functions, Programs, RowLimits
from wmtp_assets.execution.limits import Limits
from wmtp_assets.execution.tasks import (
    Compare,
    FunctionTask,
    Judged,
    ProgramTask,
    Task,
    Verdict,
)
from wmtp_assets.quality.answers import (
    Ran,
    said_to_be_caseless,
    said_to_be_several,
    seen_to_be_several,
)
from wmtp_assets.quality.parsing import Parser

Judging = Callable[[Iterator[tuple[int, Task]]], Iterable[tuple[int, Judged]]]
"""Judges numbered tasks, which it takes as it needs them: numbers and verdicts, in any order."""

NO_TESTS: Final = "upstream has no tests of this problem"
_ROWS_AT_ONCE: Final = 256
_DIGITS: Final = 4  # of seconds, as the cache keeps them


class PairsOfTests:
    """All tests of a problem as pairs of input and output, made one at a time, in the order in
    which the source names their sorts. `digest` stands for all of them."""

    def __init__(self, problem: ProblemTests) -> None:
        self._sides = [[tests[side] for side in SIDES] for tests in problem.tests.values()]

    def __len__(self) -> int:
        return sum(len(given) for given, _ in self._sides)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for given, wanted in self._sides:
            for one, other in zip(given, wanted, strict=True):
                yield one.as_py(), other.as_py()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the texts and their lengths, in hexadecimal digits."""
        sha = hashlib.sha256()
        for pair in self:
            for text in pair:
                data = text.encode()
                sha.update(b"%d:" % len(data))
                sha.update(data)
        return sha.hexdigest()


@dataclass(frozen=True)
class DrawnRows:
    """Rows of a split to be executed: their numbers, ascending; `shards` are upstream's, which the
    rows were made of."""

    corpus: Corpus
    row_format: DatasetFormat
    shards: Sequence[Path]
    rows: NDArray[np.int64]


def lines_of(drawn: DrawnRows, judging: Judging) -> dict[str, list[Any]]:
    """A line for each drawn row, by the columns of `annotations.SCHEMAS["verdicts"]`.

    Raises CorpusError where the shards are not those that the rows were made of, and whatever
    `judging` raises.
    """
    with Parser() as parser:
        executing = _Executing(drawn, parser)
        executing.judged.update(judging(executing.tasks()))
        for place, again in judging(executing.tasks_in_one_process()):
            if again.verdict is Verdict.PASSED:
                executing.judged[place] = again
        return executing.lines()


class _Executing:
    """What is known of each drawn row, by its place among them."""

    def __init__(self, drawn: DrawnRows, parser: Parser) -> None:
        self._drawn = drawn
        self._parser = parser
        self.judged: dict[int, Judged] = {}
        self._parses: dict[int, bool] = {}
        self._same: dict[int, int] = {}
        """Of a place whose program is that of another row of the problem, that row's place: it is
        executed once, so that both rows have one measurement."""
        self._several: set[int] = set()
        """Ordinals of problems of which the statement says so."""

    def tasks(self) -> Iterator[tuple[int, Task]]:
        """The tasks by their rows' places, in the order of rows."""
        execution = self._drawn.row_format.execution
        if isinstance(execution, Programs):
            yield from self._programs(execution)
        elif isinstance(execution, Functions):
            yield from self._functions(execution, range(self._drawn.rows.size))
        else:
            raise TypeError(f"rows of {self._drawn.row_format.name} are not executed")

    def tasks_in_one_process(self) -> Iterator[tuple[int, Task]]:
        """Of functions that did not pass, the tasks with solution and tests in one process: some
        tests need objects of the solution's own classes. Rows of these formats are references, so
        that it is the task that decides, and no solution."""
        execution = self._drawn.row_format.execution
        if isinstance(execution, Functions):
            failed = [
                place
                for place in range(self._drawn.rows.size)
                if self.judged[place].verdict is not Verdict.PASSED
            ]
            for place, task in self._functions(execution, failed):
                yield place, replace(task, together=True)

    def _outputs(self, places: Iterable[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Places and rows."""
        every = list(places)
        for begin in range(0, len(every), _ROWS_AT_ONCE):
            some = every[begin : begin + _ROWS_AT_ONCE]
            yield from zip(some, self._drawn.corpus.take(self._drawn.rows[some]), strict=True)

    def _programs(self, execution: Programs) -> Iterator[tuple[int, Task]]:
        source = self._drawn.row_format.evaluation
        if source is None:
            raise TypeError(f"{self._drawn.row_format.name} has no tests of whole problems")
        ordinals, begins = np.unique(self._problems, return_index=True)
        ends = np.append(begins[1:], self._drawn.rows.size)[: begins.size]
        places = zip(begins.tolist(), ends.tolist(), strict=True)
        wanted = dict(zip(ordinals.tolist(), places, strict=True))
        found = source.problems(source.opened(self._drawn.shards), wanted.keys())
        for (ordinal, (begin, end)), problem in zip(wanted.items(), found, strict=True):
            if said_to_be_several(problem.instruction):
                self._several.add(ordinal)
            caseless = said_to_be_caseless(problem.instruction)
            tests = PairsOfTests(problem)
            limits = _bounds(execution.limits(problem.facts))
            seen: dict[tuple[str, int], int] = {}
            for place, row in self._outputs(range(begin, end)):
                self._parses[place] = self._parser.parses(row["output"])
                if not len(tests):
                    self.judged[place] = Judged(Verdict.NOT_RUNNABLE, NO_TESTS)
                    continue
                language = self._languages[place]
                first = seen.setdefault((row["output"], language), place)
                if first != place:
                    self._same[place] = first
                    continue
                compare = Compare.CASELESS if caseless else Compare.TOKENS
                yield place, ProgramTask(row["output"], tests, limits, compare, language)

    def _functions(
        self, execution: Functions, places: Iterable[int]
    ) -> Iterator[tuple[int, FunctionTask]]:
        limits = _bounds(execution.limits)
        for place, row in self._outputs(places):
            function = execution.of(row)
            self._parses[place] = self._parser.parses(function.solution)
            yield (
                place,
                FunctionTask(function.solution, function.tests, function.entry_points, limits),
            )

    @cached_property
    def _problems(self) -> NDArray[Any]:
        return np.asarray(self._drawn.corpus.column("problem")[self._drawn.rows])

    @cached_property
    def _languages(self) -> list[int]:
        found: list[int] = self._drawn.corpus.column("language")[self._drawn.rows].tolist()
        return found

    def lines(self) -> dict[str, list[Any]]:
        """The columns, once every task is judged."""
        count = self._drawn.rows.size
        judged = [self.judged[self._same.get(place, place)] for place in range(count)]
        several = self._several | self._seen_to_be_several(judged)
        return {
            "row": self._drawn.rows.tolist(),
            "verdict": [str(one.verdict) for one in judged],
            "reason": [one.reason for one in judged],
            "seconds": [round(one.seconds, _DIGITS) for one in judged],
            "memory": [one.memory_bytes for one in judged],
            "tests": [one.tests for one in judged],
            "several_answers": [problem in several for problem in self._problems.tolist()],
            "parses": [self._parses[place] for place in range(count)],
        }

    def _seen_to_be_several(self, judged: Sequence[Judged]) -> set[int]:
        """Problems whose solutions, of those that upstream labels correct, show it."""
        correct = self._drawn.corpus.column("is_correct")[self._drawn.rows].tolist()
        ran: defaultdict[int, list[Ran]] = defaultdict(list)
        for problem, label, one in zip(self._problems.tolist(), correct, judged, strict=True):
            if label == 1:
                ran[problem].append(Ran(one.tests, one.verdict is Verdict.PASSED, one.answer))
        return {problem for problem, solutions in ran.items() if seen_to_be_several(solutions)}


def _bounds(limits: RowLimits) -> Limits:
    return Limits(cpu_seconds=limits.seconds, memory_bytes=limits.memory_bytes)
