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
from collections.abc import Callable, Iterator
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
_of_the_last = ExitStack()  # the lock of `execute_until_exit`
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
        while not ended.wait(1):
            with suppress(Exception):  # a database that is restarted: tried again
                if show_in_timeline(instance, run_id):
                    return

    def end() -> bool:
        """Whether the history knows the run's end; one that it could not be told is told now."""
        with suppress(Exception):
            show_in_timeline(instance, run_id)
            run = instance.get_run_by_id(run_id)
            if run is not None and not run.is_finished:
                report_gone(instance, run)
            return True
        return False  # the next start tells it, of a lock that nobody holds

    with interrupts.before_ending(cancel), executing(run_id, has_ended=end):
        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield run_id
        finally:
            ended.set()
            thread.join()


@contextmanager
def executing(run_id: str, *, has_ended: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """While the block runs, this process is known to be the one that executes the run.

    Not where the disk refuses the lock: a run goes on without. Where the run `has_ended` no trace
    is left; else it `is_gone` from then on.
    """
    with ExitStack() as stack:
        ours = _hold(run_id, stack)
        try:
            yield
        finally:
            if ours and has_ended():
                _remove(ours)


def execute_until_exit(run_id: str) -> None:
    """From now until it ends, or executes another run, this process is the one that executes this.

    For a run whose end is written by others, after all that we can wrap. The lock is removed when
    `wmtp` or the page starts next.
    """
    global _of_the_last
    stack = ExitStack()
    if _hold(run_id, stack):
        _of_the_last.close()
        _of_the_last = stack


def _hold(run_id: str, stack: ExitStack) -> Path | None:
    """Takes the lock of a run until the stack is closed; None where that is refused."""
    path = _lock_of(run_id)
    if path is not None:
        with suppress(OSError, WmtpError):
            if stack.enter_context(exclusive_now(path, machines=False)) is not None:
                return path
    return None


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
    remove_locks_of_the_dead(instance)
    return ended


def report_gone(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Ends a run in the history: as canceled where that was asked for, else as failed."""
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, GONE)
    else:
        instance.report_run_failed(run, GONE)


def remove_locks_of_the_dead(instance: dg.DagsterInstance) -> None:
    """Removes the locks, which nobody holds any more, of runs that have ended."""
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
