"""Functions that tests have engines call: workers import them from here."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from wmtp_assets.engines.engine import EngineError, Function, Result, Task, Worker
from wmtp_assets.engines.forms import Named, gives, has_form
from wmtp_assets.engines.whole import line_of, read_line

FORMS = [{"twice": int}, {"twice": int, "process": int, "cores": int}, {"files": Named(int)}]


@gives(*FORMS)
def doubled(task: Task, worker: Worker) -> Result:
    """Twice the number, and who worked it out. A task takes as long as it is told to, and one
    that is to meet another until two are at work at once."""
    time.sleep(task.get("seconds", 0))
    if "meet" in task:
        folder, until = Path(task["meet"]), time.monotonic() + 240
        (folder / str(task["number"])).touch()
        while len(list(folder.iterdir())) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    worker.tell(1)
    return {"twice": 2 * task["number"], "process": os.getpid(), "cores": worker.cores}


@gives(*FORMS)
def refuses(task: Task, worker: Worker) -> Result:
    """An error that a person must act on."""
    raise EngineError("No", expected="yes", found=task["number"], where="here", hint="ask again.")


def fails(task: Task, worker: Worker) -> Result:
    """A bug."""
    raise KeyError("a bug")


def dies(task: Task, worker: Worker) -> Result:
    """Notes that it was called, leaves half of a file, and is killed as many times as it is told
    to; then it gives a result."""
    folder = Path(task["folder"])
    tries = len(list(folder.glob(f"{task['number']}.*")))
    (folder / f"{task['number']}.{tries}").write_text("half")
    if tries < task["deaths"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"twice": 2 * task["number"], "tries": tries + 1}


def require_tasks(function: Function, tasks: Sequence[Task]) -> None:
    """These are tasks of the function, as a list has them; without one of their keys they are
    none."""
    for task in tasks:
        assert read_line(line_of(function, task), Path("list"), function) == (
            json.loads(json.dumps(task)),
            function.__name__,
        )
        for name in task:
            line = line_of(function, {one: task[one] for one in task if one != name})
            with pytest.raises(EngineError, match="no list of tasks"):
                read_line(line, Path("list"), function)


def require_form(function: Function, results: Sequence[Result]) -> None:
    """These results have the function's form; without one of their keys, with another one, or with
    another sort of value they have not."""
    for result in json.loads(json.dumps(results)):
        assert has_form(function, result)
        assert not has_form(function, {**result, "more": 1})
        for name in result:
            assert not has_form(function, {one: result[one] for one in result if one != name})
            for value in (None, 1.5, [[1, "x"]], {"x": [1]}):
                assert not has_form(function, {**result, name: value}), name
