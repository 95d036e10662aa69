"""Runs in Dagster's history and their processes: no run stays unfinished whose process is gone.

It would keep its place, and the pools of its groups, until Dagster's own time limit for runs, which
is days. A process that executes a run holds a lock in Dagster's home, which the kernel releases
however the process dies. A tag of the run would not do: whoever starts a run on the page chooses
its tags.
"""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import dagster as dg

from wmtp_assets import interrupts
from wmtp_assets.errors import WmtpError
from wmtp_assets.orchestration.dagster_internals import (
    REPOSITORY_LABEL_TAG,
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from wmtp_assets.orchestration.names import LOCATION, running_folder
from wmtp_assets.storage import disk
from wmtp_assets.storage.locks import exclusive_now, holder_process, is_locked

GONE = (
    "The process of this run is gone: it was killed, or the machine went down. What it had made is "
    "kept; the same run, started again, continues there."
)
REPOSITORY = "__repository__"  # as the page's code server names it
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_BEGUN = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


@contextmanager
def shown_in_history(instance: dg.DagsterInstance) -> Iterator[str]:
    """The id for a run of this process, which Dagster's history shows as canceled when the process
    is made to end while the block runs, and the page in its timeline."""
    run_id = str(uuid.uuid4())

    def cancel() -> None:
        with suppress(Exception):  # the history must not keep a process from ending
            run = instance.get_run_by_id(run_id)
            if run is not None and not run.is_finished:
                instance.report_run_canceled(run, "wmtp was made to end.")

    ended = threading.Event()

    def show() -> None:
        while not ended.wait(1) and not show_in_timeline(instance, run_id):
            continue

    with interrupts.before_ending(cancel), executing(run_id):
        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield run_id
        finally:
            ended.set()
            thread.join()
            show_in_timeline(instance, run_id)


@contextmanager
def executing(run_id: str) -> Iterator[None]:
    """While the block runs, this process is known to be the one that executes the run.

    Not where the disk refuses the lock: a run goes on without.
    """
    path, ours = _lock_of(run_id), False
    with ExitStack() as stack:
        if path is not None:
            with suppress(OSError, WmtpError):
                claim = stack.enter_context(exclusive_now(path, machines=False))
                ours = claim is not None
        try:
            yield
        finally:
            if ours and path is not None:
                _remove(path)


def show_in_timeline(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Gives a run the code location that it belongs to; False while there is no such run.

    The page's timeline has a row for each job of a code location; a run of the command line comes
    from none.
    """
    location = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(LOCATION), REPOSITORY)
    run = instance.get_run_by_id(run_id)
    if run is not None and run.remote_job_origin is None:
        instance.add_run_tags(run_id, {REPOSITORY_LABEL_TAG: location.get_label()})
        run = instance.get_run_by_id(run_id)
        if run is not None:
            origin = RemoteJobOrigin(location, run.job_name)
            instance.run_storage.replace_job_origin(run, origin)
    return run is not None


def process_of(run_id: str) -> int | None:
    """The number of the process of this machine that executes the run; None where none does."""
    path = _lock_of(run_id)
    return holder_process(path) if path is not None and is_locked(path) else None


def is_gone(run_id: str) -> bool:
    """Whether a process began to execute the run and is there no more, without having ended it."""
    path = _lock_of(run_id)
    return path is not None and path.is_file() and not is_locked(path)


def end_dead_runs(instance: dg.DagsterInstance, *, none_is_launched: bool = False) -> list[str]:
    """Ends, in the history, every unfinished run whose process is gone; returns their ids.

    `none_is_launched`: no page of this home is running. A run that began, and of which no process
    is known (an earlier version wrote it), then has none.
    """
    ended = []
    for run in instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED)):
        path = _lock_of(run.run_id)
        unknown = none_is_launched and run.status in _BEGUN and not (path and path.exists())
        if not unknown and not is_gone(run.run_id):
            continue
        report_gone(instance, run)
        ended.append(run.run_id)
    _remove_locks_of_the_dead(instance)
    return ended


def report_gone(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Ends a run in the history: as canceled where that was asked for, else as failed."""
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, GONE)
    else:
        instance.report_run_failed(run, GONE)


def _remove_locks_of_the_dead(instance: dg.DagsterInstance) -> None:
    there = os.environ.get("DAGSTER_HOME")
    for path in running_folder(Path(there)).glob("*") if there else ():
        run = instance.get_run_by_id(path.name)
        if (run is None or run.is_finished) and not is_locked(path):
            _remove(path)


def _remove(path: Path) -> None:
    with suppress(OSError):  # another start tries again
        disk.unlink(path)


def _lock_of(run_id: str) -> Path | None:
    """The lock of a run; None outside of any home, where no history is kept."""
    there = os.environ.get("DAGSTER_HOME")
    return running_folder(Path(there)) / run_id if there else None
