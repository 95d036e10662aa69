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
from dataclasses import dataclass, field, replace
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
"""Judges tasks, each with the number of its row, which it takes as it needs them: numbers and
verdicts, in any order. What it gives no verdict on is uncertain."""

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


@dataclass
class Executed:
    """What executing rows gave, by their numbers.

    `judged` lacks those whose verdict a busy machine may have made, where nobody settled it, and
    rows of `same`: their program is that of another row of the problem, whose number it is; such a
    program is executed once, so that both rows have one measurement. `several` has the ordinals of
    problems whose statement says that they have more than one correct answer.
    """

    judged: dict[int, Judged] = field(default_factory=dict)
    parses: dict[int, bool] = field(default_factory=dict)
    same: dict[int, int] = field(default_factory=dict)
    several: set[int] = field(default_factory=set)

    def uncertain(self) -> list[int]:
        """The rows that are to be executed again with nothing else at work, ascending."""
        return sorted(self.parses.keys() - self.judged.keys() - self.same.keys())

    def add(self, other: Executed) -> None:
        """Adds what is known of other rows, or of the same ones."""
        self.judged |= other.judged
        self.parses |= other.parses
        self.same |= other.same
        self.several |= other.several


def lines_of(drawn: DrawnRows, judging: Judging) -> dict[str, list[Any]]:
    """A line for each drawn row, by the columns of `annotations.SCHEMAS["verdicts"]`.

    Raises CorpusError where the shards are not those that the rows were made of, and whatever
    `judging` raises.
    """
    return lines(drawn.corpus, drawn.rows, executed(drawn, judging))


def executed(drawn: DrawnRows, judging: Judging) -> Executed:
    """Executes the drawn rows, all or those of some problems. Raises as `lines_of`."""
    with Parser() as parser:
        executing = _Executing(drawn, parser)
        found = executing.found
        found.judged.update(judging(executing.tasks()))
        asked: list[int] = []
        for row, again in judging(executing.tasks_in_one_process(asked)):
            asked.remove(row)
            if again.verdict is Verdict.PASSED:
                found.judged[row] = again
        for row in asked:  # which got no verdict
            del found.judged[row]
        return found


def lines(corpus: Corpus, rows: NDArray[np.int64], found: Executed) -> dict[str, list[Any]]:
    """The columns of `rows`, all of which are judged."""
    numbers = rows.tolist()
    judged = [found.judged[found.same.get(row, row)] for row in numbers]
    problems = corpus.column("problem")[rows].tolist()
    correct = corpus.column("is_correct")[rows].tolist()
    several = found.several | _seen_to_be_several(problems, correct, judged)
    return {
        "row": numbers,
        "verdict": [str(one.verdict) for one in judged],
        "reason": [one.reason for one in judged],
        "seconds": [round(one.seconds, _DIGITS) for one in judged],
        "memory": [one.memory_bytes for one in judged],
        "tests": [one.tests for one in judged],
        "several_answers": [problem in several for problem in problems],
        "parses": [found.parses[row] for row in numbers],
    }


def _seen_to_be_several(
    problems: Sequence[int], correct: Sequence[int], judged: Sequence[Judged]
) -> set[int]:
    """Problems whose solutions, of those that upstream labels correct, show it."""
    ran: defaultdict[int, list[Ran]] = defaultdict(list)
    for problem, label, one in zip(problems, correct, judged, strict=True):
        if label == 1:
            ran[problem].append(Ran(one.tests, one.verdict is Verdict.PASSED, one.answer))
    return {problem for problem, solutions in ran.items() if seen_to_be_several(solutions)}


class _Executing:
    """The tasks that rows are, by the rows' numbers."""

    def __init__(self, drawn: DrawnRows, parser: Parser) -> None:
        self._drawn = drawn
        self._parser = parser
        self.found = Executed()

    def tasks(self) -> Iterator[tuple[int, Task]]:
        """The tasks in the order of rows."""
        execution = self._drawn.row_format.execution
        if isinstance(execution, Programs):
            yield from self._programs(execution)
        elif isinstance(execution, Functions):
            yield from self._functions(execution, self._drawn.rows.tolist())
        else:
            raise TypeError(f"rows of {self._drawn.row_format.name} are not executed")

    def tasks_in_one_process(self, asked: list[int]) -> Iterator[tuple[int, Task]]:
        """Of functions that did not pass, the tasks with solution and tests in one process: some
        tests need objects of the solution's own classes. Rows of these formats are references, so
        that it is the task that decides, and no solution. Their rows are added to `asked`."""
        execution = self._drawn.row_format.execution
        if isinstance(execution, Functions):
            judged = self.found.judged
            failed = [row for row in sorted(judged) if judged[row].verdict is not Verdict.PASSED]
            for row, task in self._functions(execution, failed):
                asked.append(row)
                yield row, replace(task, together=True)

    def _outputs(self, rows: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        """Numbers and rows."""
        for begin in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[begin : begin + _ROWS_AT_ONCE]
            yield from zip(some, self._drawn.corpus.take(np.asarray(some, np.int64)), strict=True)

    def _programs(self, execution: Programs) -> Iterator[tuple[int, Task]]:
        source = self._drawn.row_format.evaluation
        if source is None:
            raise TypeError(f"{self._drawn.row_format.name} has no tests of whole problems")
        rows = self._drawn.rows.tolist()
        problems = self._drawn.corpus.column("problem")[self._drawn.rows]
        languages = self._drawn.corpus.column("language")[self._drawn.rows].tolist()
        language_of = dict(zip(rows, languages, strict=True))
        ordinals, begins = np.unique(np.asarray(problems), return_index=True)
        ends = np.append(begins[1:], len(rows))[: begins.size]
        places = zip(begins.tolist(), ends.tolist(), strict=True)
        wanted = dict(zip(ordinals.tolist(), places, strict=True))
        found = source.problems(source.opened(self._drawn.shards), wanted.keys())
        for (ordinal, (begin, end)), problem in zip(wanted.items(), found, strict=True):
            if said_to_be_several(problem.instruction):
                self.found.several.add(ordinal)
            caseless = said_to_be_caseless(problem.instruction)
            tests = PairsOfTests(problem)
            limits = _bounds(execution.limits(problem.facts))
            seen: dict[tuple[str, int], int] = {}
            for number, row in self._outputs(rows[begin:end]):
                self.found.parses[number] = self._parser.parses(row["output"])
                if not len(tests):
                    self.found.judged[number] = Judged(Verdict.NOT_RUNNABLE, NO_TESTS)
                    continue
                language = language_of[number]
                first = seen.setdefault((row["output"], language), number)
                if first != number:
                    self.found.same[number] = first
                    continue
                compare = Compare.CASELESS if caseless else Compare.TOKENS
                yield number, ProgramTask(row["output"], tests, limits, compare, language)

    def _functions(
        self, execution: Functions, rows: Sequence[int]
    ) -> Iterator[tuple[int, FunctionTask]]:
        limits = _bounds(execution.limits)
        for number, row in self._outputs(rows):
            function = execution.of(row)
            self.found.parses[number] = self._parser.parses(function.solution)
            yield (
                number,
                FunctionTask(function.solution, function.tests, function.entry_points, limits),
            )


def _bounds(limits: RowLimits) -> Limits:
    return Limits(cpu_seconds=limits.seconds, memory_bytes=limits.memory_bytes)
