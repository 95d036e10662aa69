"""Rows executed in parts: the same lines as in one, and nothing settled beside others."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wmtp_assets.engines.engine import EngineError, Worker
from wmtp_assets.execution.cache import VerdictCache
from wmtp_assets.execution.judge import Judge
from wmtp_assets.execution.limits import Limits
from wmtp_assets.execution.tasks import ProgramTask
from wmtp_assets.quality.judged_parts import RowsToExecute, joined, judge_rows
from wmtp_assets.quality.labels import DrawnRows, lines, lines_of
from wmtp_assets_tests.engines.work import require_form, require_tasks


@pytest.fixture(scope="module")
def rows(drawn: DrawnRows, tmp_path_factory: pytest.TempPathFactory) -> RowsToExecute:
    return RowsToExecute(
        rows=drawn.rows,
        corpus=drawn.corpus.jsonl,
        layout="code-contests",
        contract="phase1",
        shards=list(drawn.shards),
        known=tmp_path_factory.mktemp("known"),
        least=1,
    )


@pytest.fixture(scope="module")
def whole(rows: RowsToExecute, drawn: DrawnRows) -> dict[str, list[Any]]:
    with VerdictCache(rows.known) as known, Judge(cache=known) as judge:
        return lines_of(drawn, judge.judge)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_any_number_of_parts_gives_the_same_lines(
    rows: RowsToExecute, drawn: DrawnRows, whole: dict[str, list[Any]], parts: int
) -> None:
    tasks = rows.tasks(parts)
    assert len(tasks) == parts
    assert sum(map(rows.size, tasks)) == drawn.rows.size
    results = [judge_rows(task, Worker()) for task in json.loads(json.dumps(tasks))]
    require_tasks(judge_rows, tasks)
    require_form(judge_rows, results)
    found = joined(json.loads(json.dumps(results)))
    if uncertain := found.uncertain():  # of several parts, "while True: pass" on a busy machine
        assert parts > 1
        (last,) = rows.only(uncertain).tasks(1)
        found.add(joined([judge_rows(last, Worker())]))
    assert lines(drawn.corpus, drawn.rows, found) == whole


def test_another_interpreter_is_refused(rows: RowsToExecute) -> None:
    (task,) = rows.tasks(1)
    task["conditions"]["python"] = "3.9.1"
    with pytest.raises(EngineError, match=r"python differs.*3\.9\.1.*constraints\.txt"):
        judge_rows(task, Worker())


def test_a_judge_that_does_not_settle_is_silent_about_what_a_busy_machine_may_have_made() -> None:
    waits = ProgramTask("import time\ntime.sleep(600)", [("", "")], Limits(0.2, wall_seconds=0.5))
    with Judge(1, settle=False) as judge:
        assert list(judge.judge([("waits", waits)])) == []
    with Judge(1) as judge:
        ((name, judged),) = judge.judge([("waits", waits)])
    assert (name, judged.verdict) == ("waits", "time")
