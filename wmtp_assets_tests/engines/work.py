"""Functions that tests have engines call: workers import them from here."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from wmtp_assets.engines.engine import EngineError, Result, Task, Worker


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
