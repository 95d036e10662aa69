"""The published reference solutions of HumanEval and MBPP against their tests, all of them.

Read from ../shared/data, where that is.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from wmtp_assets.execution.judge import Judge
from wmtp_assets.execution.limits import Limits
from wmtp_assets.execution.tasks import FunctionTask, Judged, Verdict

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="the published rows are not here"),
]
# Tests that make objects of the reference's classes, pass it a type, or use a module that it
# imported: HumanEval has none of them.
TOGETHER = {367, 533, 596, 601, 927}


def humaneval() -> Iterator[tuple[str, FunctionTask]]:
    with gzip.open(DATA / "humaneval" / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            solution = row["prompt"] + row["canonical_solution"]
            tests = f"{row['test']}\ncheck({row['entry_point']})\n"
            yield row["task_id"], FunctionTask(solution, tests, (row["entry_point"],), Limits())


def mbpp() -> Iterator[tuple[int, FunctionTask]]:
    with (DATA / "mbpp" / "mbpp.jsonl").open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            tests = "\n".join([row["test_setup_code"], *row["test_list"]])
            defined = set(re.findall(r"\bdef\s+(\w+)", row["code"]))
            called = tuple(defined & set(re.findall(r"\b(\w+)\s*\(", tests)))
            number = row["task_id"]
            yield (
                number,
                FunctionTask(row["code"], tests, called, Limits(), number in TOGETHER),
            )


def judged(judge: Judge, tasks: Iterator[tuple[object, FunctionTask]]) -> dict[object, Judged]:
    return dict(judge.judge(tasks))


def test_every_reference_passes_and_one_that_is_broken_is_named() -> None:
    with Judge() as judge:
        found = judged(judge, humaneval())
        assert len(found) == 164
        assert {name: one for name, one in found.items() if one.verdict != "passed"} == {}
        assert all(one.reason == "" for one in found.values())  # none in one process

        found = judged(judge, mbpp())
        assert len(found) == 974
        assert {name: one for name, one in found.items() if one.verdict != "passed"} == {}
        assert {name for name, one in found.items() if one.reason} == TOGETHER

        apart = ((name, task) for name, task in mbpp() if name in TOGETHER)
        two = judged(judge, ((n, FunctionTask(t.solution, t.tests)) for n, t in apart))
        assert not any(one.verdict == Verdict.PASSED for one in two.values())

        tasks = dict(humaneval())
        whole = tasks["HumanEval/53"]
        broken = FunctionTask(
            whole.solution.replace("return x + y", "return x - y"), whole.tests, whole.entry_points
        )
        assert broken.solution != whole.solution
        few = {"HumanEval/52": tasks["HumanEval/52"], "HumanEval/53": broken}
        failing = {name: one for name, one in judge.judge(few.items()) if one.verdict != "passed"}
        assert list(failing) == ["HumanEval/53"]
        assert failing["HumanEval/53"].reason.startswith("AssertionError at: assert candidate(")
