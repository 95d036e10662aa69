"""Dagster's history: a run whose process was killed does not hold back others for days."""

from __future__ import annotations

import subprocess
import sys

import dagster as dg
import pytest

from wmtp_assets.orchestration.history import PROCESS, cancel_dead_runs, this_process


@dg.op
def nothing() -> None: ...


@dg.job
def idle() -> None:
    nothing()


def unfinished(instance: dg.DagsterInstance, tags: dict[str, str]) -> str:
    run = instance.create_run_for_job(idle, tags=tags, status=dg.DagsterRunStatus.STARTED)
    return run.run_id


def tag_of_a_process_that_is_gone() -> str:
    code = "from wmtp_assets.orchestration.history import this_process; print(this_process())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_run_of_a_process_that_is_gone_is_canceled_and_no_other() -> None:
    gone = tag_of_a_process_that_is_gone()
    host, number, _ = this_process().split()
    with dg.DagsterInstance.ephemeral() as instance:
        dead = unfinished(instance, {PROCESS: gone})
        recycled = unfinished(instance, {PROCESS: f"{host} {number} 1"})
        alive = unfinished(instance, {PROCESS: this_process()})
        others = [
            unfinished(instance, {}),  # of the page: Dagster's own to watch
            unfinished(instance, {PROCESS: ""}),
            unfinished(instance, {PROCESS: gone.replace(host, "another-machine", 1)}),
            unfinished(instance, {PROCESS: f"{host} ../../etc 1"}),
        ]
        assert set(cancel_dead_runs(instance)) == {dead, recycled}
        assert cancel_dead_runs(instance) == []
        for run_id in (dead, recycled):
            run = instance.get_run_by_id(run_id)
            assert run is not None
            assert run.status is dg.DagsterRunStatus.CANCELED
        for run_id in (alive, *others):
            run = instance.get_run_by_id(run_id)
            assert run is not None
            assert run.status is dg.DagsterRunStatus.STARTED


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_is_named_by_host_number_and_start() -> None:
    assert len(this_process().split()) == 3
