"""Executing rows in parts, on whatever engine: tasks and results as plain data.

A task names the files that the rows are in and the conditions under which they are executed; a
worker that cannot offer those refuses. Verdicts that a busy machine may have made are no result of
a part: their rows make up one last part, which is executed when all others have ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.engines.conditions import Conditions, installation, require
from wmtp_assets.engines.engine import Function, Result, Task, Worker
from wmtp_assets.engines.forms import MEASURE, NUMBER, RUN, Named, gives, takes
from wmtp_assets.engines.parts import divided, rows_of, runs_of
from wmtp_assets.execution.cache import VerdictCache
from wmtp_assets.execution.judge import Judge, named_python2, version_of
from wmtp_assets.execution.tasks import HARNESS, Judged, Verdict
from wmtp_assets.execution.tasks import Task as JudgedTask
from wmtp_assets.generations import CONTRACTS, Contract
from wmtp_assets.quality.labels import DrawnRows, Executed, executed

LEAST_ROWS: Final = 32
"""Of a part: workers take a second to start."""


def conditions() -> Conditions:
    """What verdicts depend on beside program, tests and limits. Raises InterpreterError."""
    return {
        **installation(),
        "harness": str(HARNESS),
        "python2": version_of(named_python2()),
    }


@takes(
    {
        "corpus": str,
        "layout": str,
        "contract": frozenset(CONTRACTS),
        "shards": [str],
        "known": str,
        "rows": [RUN],
        "settle": bool,
        "conditions": Named(str),
    }
)
@gives(
    {  # as `labels.Executed`
        "judged": [(NUMBER, frozenset(Verdict), str, MEASURE, NUMBER, NUMBER, str)],
        "parses": [RUN],
        "does_not_parse": [RUN],
        "same": [(NUMBER, NUMBER)],
        "several": [NUMBER],
    }
)
def judge_rows(task: Task, worker: Worker) -> Result:
    """Executes the rows of a task; of uncertain ones, unless it settles, there is no verdict.

    Raises EngineError where conditions are others here, ConfinementError where programs cannot be
    confined, CorpusError and StorageError where the files are not those of the rows.
    """
    require(task["conditions"], conditions())
    rows = rows_of(task["rows"])
    drawn = DrawnRows(
        Corpus(Path(task["corpus"])),
        FORMATS[task["layout"]].of(task["contract"]),
        [Path(path) for path in task["shards"]],
        rows,
    )
    with ExitStack() as stack:
        cache = stack.enter_context(VerdictCache(Path(task["known"])))
        judge = stack.enter_context(Judge(worker.cores, cache, settle=task["settle"]))
        return _as_plain(executed(drawn, _telling(judge, worker.tell)))


def _telling(
    judge: Judge, tell: Callable[[int], None]
) -> Callable[[Iterator[tuple[int, JudgedTask]]], Iterator[tuple[int, Judged]]]:
    def judging(tasks: Iterator[tuple[int, JudgedTask]]) -> Iterator[tuple[int, Judged]]:
        for done, one in enumerate(judge.judge(tasks), 1):
            tell(done)
            yield one

    return judging


def joined(results: Iterable[Result]) -> Executed:
    """What the results of parts say together."""
    found = Executed()
    for one in results:
        found.add(_of_plain(one))
    return found


def _as_plain(found: Executed) -> Result:
    return {
        "judged": [
            [row, str(one.verdict), one.reason, *_measured(one), one.tests, one.answer]
            for row, one in sorted(found.judged.items())
        ],
        "parses": runs_of(_where(found, True)),
        "does_not_parse": runs_of(_where(found, False)),
        "same": sorted(found.same.items()),
        "several": sorted(found.several),
    }


def _measured(one: Judged) -> tuple[float, int]:
    return round(one.seconds, 4), one.memory_bytes  # as the cache keeps them


def _where(found: Executed, parses: bool) -> NDArray[np.int64]:
    return np.array(sorted(r for r, one in found.parses.items() if one is parses), np.int64)


def _of_plain(result: Result) -> Executed:
    return Executed(
        {
            row: Judged(Verdict(verdict), reason, seconds, memory, tests, answer)
            for row, verdict, reason, seconds, memory, tests, answer in result["judged"]
        },
        {
            row: parses
            for name, parses in (("parses", True), ("does_not_parse", False))
            for row in rows_of(result[name]).tolist()
        },
        dict(result["same"]),
        set(result["several"]),
    )


@dataclass(frozen=True)
class RowsToExecute:
    """Rows of a split that are executed, as a whole that can be divided (`engines.whole.Whole`).

    `rows` are their numbers, ascending; `corpus` is the JSONL, `shards` are upstream's, `known` is
    the folder of verdicts by contents. No part has fewer than `least` rows, if there are as many.
    """

    rows: NDArray[np.int64]
    corpus: Path
    layout: str
    contract: Contract
    shards: list[Path]
    known: Path
    least: int = LEAST_ROWS
    function: Function = judge_rows
    fetched: Mapping[Path, str] = field(default_factory=dict)
    """As of `Whole`: upstream's shards."""

    def identity(self) -> Task:
        """As of `Whole`."""
        return {
            "corpus": str(self.corpus),
            "layout": self.layout,
            "contract": self.contract,
            "shards": [str(path) for path in self.shards],
            "known": str(self.known),
            "rows": runs_of(self.rows),
        }

    def tasks(self, parts: int) -> list[Task]:
        """As of `Whole`: divided between problems. A task that is alone settles what is uncertain,
        since nothing else is at work then."""
        problems = self.opened().column("problem")[self.rows]
        found = divided(self.rows, problems, parts, self.least)
        more = {"settle": len(found) == 1, "conditions": conditions()}
        shared = self.identity() | more
        return [{**shared, "rows": runs_of(part)} for part in found]

    def size(self, task: Task) -> int:
        """As of `Whole`: rows."""
        return sum(size for _, size in task["rows"])

    def opened(self) -> Corpus:
        """The split. Raises CorpusError."""
        return Corpus(self.corpus)

    def only(self, rows: list[int]) -> RowsToExecute:
        """Some of these rows."""
        return replace(self, rows=np.array(rows, np.int64))
