"""Verdicts on rows: executed solutions, a line for each row that was drawn.

What was judged is kept below the storage (`executed/`), by its contents: a run that was killed
continues, and rows that were executed once are not executed again.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

from wmtp_assets.artifacts.facts import verdict_facts
from wmtp_assets.artifacts.make.task import Made, Task
from wmtp_assets.artifacts.plans import plan_of
from wmtp_assets.artifacts.project import Project
from wmtp_assets.artifacts.types import Fetched, Split
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.corpora.annotations import AnnotationFile, write_annotation
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.runnable import DEFAULT_MEMORY, DEFAULT_SECONDS, LEAST_MEMORY, TIME_FACTOR
from wmtp_assets.engines.engine import chosen_engine, nobody
from wmtp_assets.engines.inputs import watching
from wmtp_assets.engines.opening import open_engine
from wmtp_assets.engines.whole import Plan, results_of
from wmtp_assets.execution.cache import VerdictCache
from wmtp_assets.execution.confinement import ConfinementError, available
from wmtp_assets.execution.judge import PYTHON_2_SETTING, Judge, named_python2, version_of
from wmtp_assets.execution.tasks import HARNESS, Judged, Verdict
from wmtp_assets.execution.tasks import Task as JudgedTask
from wmtp_assets.progress import following
from wmtp_assets.quality.drawing import Wanted, drawn_rows
from wmtp_assets.quality.judged_parts import RowsToExecute, joined
from wmtp_assets.quality.labels import DrawnRows, Executed, executed, lines
from wmtp_assets.quality.rates import rates_document
from wmtp_assets.storage.atomic import write_json
from wmtp_assets.storage.preflight import EXECUTED
from wmtp_assets.storage.receipts import Receipt


def wanted_rows(artifact: Artifact) -> tuple[Wanted, int]:
    """How many rows are to be executed, and the seed that draws them."""
    rows, seed = artifact.settings["rows"], int(str(artifact.settings["seed"]))
    return ("all" if rows == "all" else int(str(rows))), seed


def verdict_files(artifact: Artifact) -> tuple[str, str]:
    """The names of the two files: of the lines, and of the rates."""
    return f"{artifact.split}_verdicts.parquet", f"{artifact.split}_verdicts.json"


@contextmanager
def judge_of(
    project: Project, remembered: bool = True, workers: int | None = None
) -> Iterator[Judge]:
    """What judges a project's rows, by what was judged before where it is `remembered`; `workers`
    as of `Judge`.

    Raises ConfinementError where this machine can confine nothing.
    """
    with ExitStack() as stack:
        cache = None
        if remembered:
            cache = stack.enter_context(VerdictCache(project.store.root / EXECUTED))
        yield stack.enter_context(Judge(workers, cache))


def execute_rows(task: Task) -> Made:
    """The verdicts and the rates that follow from them. Raises CorpusError; EngineError where the
    engine that was chosen cannot do it.

    Where this machine executes and cannot confine programs nothing is executed: every row is
    `not_runnable`.
    """
    artifact, project = task.artifact, task.project
    wanted, seed = wanted_rows(artifact)
    row_format = format_of(project.catalog, artifact)
    whole = rows_to_execute(task)
    corpus, rows = whole.opened(), whole.rows
    plan = plan_of(task, whole)
    why = python2 = ""
    with following(artifact.name, rows.size, task.log.info, unit="rows") as at:
        try:
            found = executed_rows(whole, plan, at, task.log.info)
            python2 = version_of(named_python2())
        except ConfinementError as error:
            if plan.parts:  # others have executed some of them, or will
                raise
            why = error.what()
            task.log.warning(f"No row of {artifact.name} is executed. {error}")
            drawn = DrawnRows(corpus, row_format, whole.shards, rows)
            found = executed(drawn, lambda tasks: _nothing_runs(tasks, why))
    table, document = verdict_files(artifact)
    write_annotation(
        task.folder / table,
        "verdicts",
        lines(corpus, rows, found),
        corpus.row_index,
        {
            "protocol": {**_protocol(wanted, seed), "python2": python2},
            "executed": not why,
            "why": why,
        },
    )
    verdicts = AnnotationFile(task.folder / table, "verdicts")
    rates = rates_document(verdicts, corpus, row_format.name)
    write_json(task.folder / document, rates)
    return Made(verdict_facts(rates))


def rows_to_execute(task: Task) -> RowsToExecute:
    """The rows of an artifact, with their files and what was executed before."""
    artifact, project = task.artifact, task.project
    split = task.input(artifact.inputs[0], Split)
    raw = task.input(artifact.inputs[1], Fetched)
    return RowsToExecute(
        rows=drawn_rows(Corpus(split.jsonl).row_index, *wanted_rows(artifact)),
        corpus=split.jsonl,
        layout=str(artifact.settings["layout"]),
        contract=artifact.contract,
        shards=list(raw.paths().values()),
        fetched=raw.digests(),
        known=project.store.root / EXECUTED,
    )


def executed_rows(
    whole: RowsToExecute,
    plan: Plan,
    at: Callable[[int], None] = nobody,
    log: Callable[[str], None] | None = None,
) -> Executed:
    """What executing rows gives, by the engine that is chosen; `at` gets the number of those done,
    and `log` a line on Ray's workers.

    Raises EngineError; ConfinementError where this machine executes and can confine nothing.
    """
    with open_engine(chosen_engine(), log) as engine:
        found = joined(results_of(whole, plan, engine, at))
        if uncertain := found.uncertain():
            last = whole.only(uncertain)
            results = engine.map(last.function, last.tasks(1))
            found.add(joined(watching(whole.fetched, results)))
    return found


def _protocol(wanted: Wanted, seed: int) -> dict[str, object]:
    """What a reader of the rates must know of how rows were executed."""
    return {
        "rows": wanted,
        "seed": seed,
        "strata": "class, source, difficulty and language, in proportion",
        "tests": "all of the problem's tests, public, private and generated; or those of the row",
        "passes": "every test; execution stops at the first that fails",
        "time_limit": f"CPU seconds per test: {TIME_FACTOR:g} times the problem's limit, "
        f"{DEFAULT_SECONDS:g} where it states none",
        "memory_limit": f"the problem's, at least {LEAST_MEMORY:,} bytes; {DEFAULT_MEMORY:,} where "
        "it states none",
        "interpreter": f"{platform.python_implementation()} {platform.python_version()}, "
        f"{sys.platform} {platform.machine()}",
        "harness": HARNESS,
    }


def _nothing_runs(
    tasks: Iterator[tuple[int, JudgedTask]], why: str
) -> Iterator[tuple[int, Judged]]:
    for place, _ in tasks:
        yield place, Judged(Verdict.NOT_RUNNABLE, why)


def fit(receipt: Receipt) -> bool:
    """Whether verdicts will do: those of a machine that could execute nothing, or no Python 2, will
    not where this one can."""
    facts = receipt.facts
    if facts.get("executed") is not True:
        return not can_execute() and chosen_engine() == "local"
    wants_python2 = facts.get("python2_rows", 0) > 0 and not facts.get("python2")
    return not (wants_python2 and os.environ.get(PYTHON_2_SETTING))


@cache
def can_execute() -> bool:
    """Whether this machine can confine programs, and so executes them."""
    try:
        available()
    except ConfinementError:
        return False
    return True
