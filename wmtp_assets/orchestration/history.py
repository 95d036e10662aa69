"""Runs of the command line in Dagster's history: none of them stays unfinished there.

A run whose process is gone would keep its place, and the pools of its groups, until Dagster's own
time limit for runs (days).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg

from wmtp_assets import interrupts

# The tag that names the process of a run: host, number, and the time at which the kernel started it
# (a number is used again).
PROCESS = "wmtp/process"


@contextmanager
def shown_in_history(instance: dg.DagsterInstance) -> Iterator[str]:
    """The id for a run that Dagster's history shows as canceled when this process is made to end
    while the block runs."""
    run_id = str(uuid.uuid4())

    def cancel() -> None:
        with suppress(Exception):  # the history must not keep a process from ending
            run = instance.get_run_by_id(run_id)
            if run is not None and not run.is_finished:
                instance.report_run_canceled(run, "wmtp was made to end.")

    with interrupts.before_ending(cancel):
        yield run_id


def this_process() -> str:
    """The value of the tag for a run of this process."""
    return _name(os.getpid()) or ""


def cancel_dead_runs(instance: dg.DagsterInstance) -> list[str]:
    """Reports as canceled every unfinished run of a process of this machine that is gone."""
    unfinished = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    canceled = []
    for run in instance.get_runs(unfinished):
        host, _, rest = run.tags.get(PROCESS, "").partition(" ")
        number = rest.partition(" ")[0]
        if host != os.uname().nodename or not number.isdecimal():
            continue
        if _name(int(number)) != run.tags[PROCESS]:
            instance.report_run_canceled(run, "The process of this run is gone.")
            canceled.append(run.run_id)
    return canceled


def _name(process: int) -> str | None:
    """Host, number and start of a process; None where it is gone, or the kernel does not say."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    # The command comes second and may hold anything; the 20th field behind it is the start.
    return f"{os.uname().nodename} {process} {stat.rpartition(')')[2].split()[19]}"
