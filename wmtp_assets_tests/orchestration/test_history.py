"""Dagster's history: a run whose process was killed does not hold back others for days."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher.base import WorkerStatus

from wmtp_assets.orchestration import launcher as launcher_module
from wmtp_assets.orchestration.history import (
    end_dead_runs,
    execute_until_exit,
    executing,
    is_gone,
    process_of,
    shown_in_history,
)
from wmtp_assets.orchestration.launcher import LocalRunLauncher

FORK = multiprocessing.get_context("fork")
STARTED, CANCELING = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING


@dg.op
def nothing() -> None: ...


@dg.job
def idle() -> None:
    nothing()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def a_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus = STARTED, **tags: str) -> str:
    return instance.create_run_for_job(idle, tags=tags, status=status).run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> str:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status.value


def execute(run_id: str, begun: Connection, on_term: signal.Handlers) -> None:
    signal.signal(signal.SIGTERM, on_term)
    with executing(run_id):
        begun.send(True)
        time.sleep(600)


def process_that_executes(run_id: str, on_term: signal.Handlers = signal.SIG_DFL) -> BaseProcess:
    here, there = FORK.Pipe()
    process = FORK.Process(target=execute, args=(run_id, there, on_term), daemon=True)
    process.start()
    assert here.recv()
    return process


def killed(run_id: str) -> None:
    process = process_that_executes(run_id)
    process.kill()
    process.join()


def test_a_run_whose_process_was_killed_is_ended_and_no_other(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    dead, canceling = a_run(instance), a_run(instance, CANCELING)
    for run_id in (dead, canceling):
        killed(run_id)
    starting = a_run(instance, dg.DagsterRunStatus.STARTING)
    of_an_earlier_version = a_run(instance)
    alive = a_run(instance)
    with executing(alive):
        assert process_of(alive) == os.getpid()
        assert set(end_dead_runs(instance)) == {dead, canceling}
        assert end_dead_runs(instance) == []
        assert end_dead_runs(instance, none_is_launched=True) == [of_an_earlier_version]
    assert status_of(instance, dead) == "FAILURE"
    assert status_of(instance, canceling) == "CANCELED"
    assert status_of(instance, starting) == "STARTING"
    assert status_of(instance, alive) == "STARTED"
    assert list((tmp_path / ".dagster" / "running").iterdir()) == []


def test_a_run_whose_end_the_history_could_not_be_told_is_ended_later(
    instance: dg.DagsterInstance,
) -> None:
    run_id = a_run(instance)
    with executing(run_id, has_ended=lambda: False):  # the database failed
        assert not is_gone(run_id)
    assert is_gone(run_id)
    assert end_dead_runs(instance) == [run_id]


def test_an_error_that_ends_a_command_ends_its_run(instance: dg.DagsterInstance) -> None:
    with suppress(OSError), shown_in_history(instance) as run_id:
        instance.create_run_for_job(idle, run_id=run_id, status=STARTED)
        raise OSError("lost")
    assert status_of(instance, run_id) == "FAILURE"
    assert process_of(run_id) is None
    assert not is_gone(run_id)


def test_a_process_executes_a_run_until_it_ends_or_executes_another(
    instance: dg.DagsterInstance,
) -> None:
    """What executes steps does not see the run's end, which must be written before it is over."""
    first, second = a_run(instance), a_run(instance)
    execute_until_exit(first)
    assert process_of(first) == os.getpid()
    execute_until_exit(second)
    assert is_gone(first)
    assert end_dead_runs(instance) == [first]
    process = FORK.Process(target=os._exit, args=(0,))  # holds none of it
    process.start()
    process.join()
    assert process_of(second) == os.getpid()
    execute_until_exit(first)


def test_dagsters_monitoring_is_told_whether_a_run_lives(instance: dg.DagsterInstance) -> None:
    launcher = LocalRunLauncher()
    assert launcher.supports_check_run_worker_health

    def health(run_id: str) -> WorkerStatus:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        return launcher.check_run_worker_health(run).status

    dead, starting, alive = a_run(instance), a_run(instance), a_run(instance)
    killed(dead)
    with executing(alive):
        assert health(alive) is WorkerStatus.RUNNING
    assert health(starting) is WorkerStatus.RUNNING
    assert health(dead) is WorkerStatus.NOT_FOUND


@pytest.mark.parametrize(
    ("on_term", "ended_by", "looks"),
    [(signal.SIG_DFL, signal.SIGTERM, 1200), (signal.SIG_IGN, signal.SIGKILL, 3)],
    ids=["at once", "never"],
)
def test_terminate_ends_a_run_that_obeys_or_not_and_one_whose_process_is_gone(
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    on_term: signal.Handlers,
    ended_by: signal.Signals,
    looks: int,
) -> None:
    monkeypatch.setattr(launcher_module, "_LOOKS", looks)
    launcher = LocalRunLauncher()
    launcher.register_instance(instance)
    dead, alive = a_run(instance), a_run(instance)
    killed(dead)
    assert launcher.terminate(dead)
    assert status_of(instance, dead) == "CANCELED"
    process = process_that_executes(alive, on_term)
    assert launcher.terminate(alive)
    process.join(240)
    assert process.exitcode == -ended_by
    assert is_gone(alive)
    until = time.monotonic() + 240
    while status_of(instance, alive) != "CANCELED":
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not launcher.terminate(alive), "it has ended"


def test_a_tag_that_a_user_of_the_page_chooses_names_no_process_to_end(
    instance: dg.DagsterInstance,
) -> None:
    launcher = LocalRunLauncher()
    launcher.register_instance(instance)
    with subprocess.Popen(["sleep", "600"]) as victim:
        run_id = a_run(instance, **{"wmtp/process": f"{os.uname().nodename} {victim.pid} 1"})
        launcher.terminate(run_id)
        assert victim.poll() is None
        victim.kill()
