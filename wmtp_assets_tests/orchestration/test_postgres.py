"""Dagster's history in Postgres: a real server on loopback, processes that are killed, restarts."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine, NullPool, create_engine, event, text

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import load_catalog
from wmtp_assets.orchestration import notifications
from wmtp_assets.orchestration.history import end_dead_runs, shown_in_history
from wmtp_assets.orchestration.home import HomeError, enter_home, open_instance
from wmtp_assets.orchestration.names import running_folder
from wmtp_assets.orchestration.notifications import tick
from wmtp_assets.storage.locks import holder_process
from wmtp_assets.web.dagster_internals import DAEMON
from wmtp_assets_tests.notify.receiver import receiving
from wmtp_assets_tests.orchestration.postgres import (
    PASSWORD,
    Server,
    needs_postgres,
    programs,
    running_server,
    written_home,
)
from wmtp_assets_tests.web.asking import selector
from wmtp_assets_tests.web.pages import printed_link, running_page
from wmtp_assets_tests.web.test_recovery import (
    LAUNCH,
    number_of_assets,
    process_with,
    status_of,
    until,
)

pytestmark = [
    pytest.mark.slow,
    needs_postgres,
    pytest.mark.skipif(
        find_spec("dagster_postgres") is None,
        reason="dagster-postgres is not installed: pip install 'wmtp-assets[postgres]'",
    ),
]
FORK = multiprocessing.get_context("fork")
STEPS = 10


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def project(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A home that was entered, with an empty database."""
    name = re.sub(r"\W", "_", tmp_path.name).lower()
    for variable, value in server.new_database(name).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(written_home(tmp_path / "home")))
    project = Project(load_catalog("sample"), tmp_path / "storage")
    enter_home(project)
    return project


def job_of_steps(begun: Path | None = None, seconds: float = 0) -> dg.JobDefinition:
    """Each step notes that it began: then the end of the one before it is in the history."""

    @dg.op
    def step() -> None:
        if begun is not None:
            with begun.open("a") as file:
                file.write("step\n")
            time.sleep(seconds)

    @dg.job(executor_def=dg.in_process_executor)
    def steps() -> None:
        for number in range(STEPS):
            step.alias(f"step_{number}")()

    return steps


def run_steps(begun: Path, seconds: float) -> None:
    """A run as `wmtp materialize` makes one; its id is the first line of the file."""
    logging.disable()
    with open_instance() as instance, shown_in_history(instance) as run_id:
        begun.write_text(f"{run_id}\n")
        job_of_steps(begun, seconds).execute_in_process(
            instance=instance, run_id=run_id, raise_on_error=False
        )


def at_work(files: list[Path]) -> bool:
    return all(file.is_file() and "step" in file.read_text() for file in files)


def test_eight_runs_survive_a_restart_and_one_of_them_is_killed(
    server: Server, project: Project, tmp_path: Path
) -> None:
    """Whatever happens: what was recorded is there, and no run stays started."""
    files = [tmp_path / f"run-{number}" for number in range(8)]
    with open_instance():
        pass  # its tables
    processes = [
        FORK.Process(target=run_steps, args=(file, 0.1 if number else 600))
        for number, file in enumerate(files)
    ]
    for process in processes:
        process.start()
    until(lambda: at_work(files), "eight runs")
    processes[0].kill()
    server.control("restart", "-m", "immediate")  # as after a crash
    for process in processes:
        process.join(240)
        assert process.exitcode is not None
    killed = files[0].read_text().split()[0]
    with open_instance() as instance:
        assert end_dead_runs(instance).count(killed) == 1
        found = {run.run_id: run.status.value for run in instance.get_runs()}
        assert len(found) == 8
        assert set(found.values()) <= {"SUCCESS", "FAILURE"}
        assert found[killed] == "FAILURE"
        for file in files:
            run_id, *begun = file.read_text().split()
            ended = [
                event.step_key
                for event in instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
            ]
            assert len(set(ended)) == len(ended) >= len(begun) - 1
            assert found[run_id] == "FAILURE" or len(ended) == STEPS


def test_a_page_outlives_its_daemon_a_run_and_a_restart_of_the_server(
    server: Server, tmp_path: Path
) -> None:
    history = server.new_database("page")
    with running_page(tmp_path, config="dagster.postgres.yaml", poll_seconds=2, **history) as page:
        page.enter(printed_link(page))
        params = {"selector": selector("materialize_all"), "mode": "default"}
        run_id = page.graphql(LAUNCH, params=params)["data"]["launchRun"]["run"]["runId"]
        until(lambda: status_of(page, run_id) == "STARTED", "a run of the page")
        lock = running_folder(page.home) / run_id
        process = until(lambda: lock.is_file() and holder_process(lock), "its process")
        daemon = process_with(page, DAEMON)
        assert daemon is not None
        os.kill(process, signal.SIGKILL)
        os.kill(daemon, signal.SIGKILL)
        server.control("restart", "-m", "immediate")
        assert number_of_assets(page) > 50, "no request is refused for a connection of before"
        until(lambda: status_of(page, run_id) == "FAILURE", "the end of the run that was killed")
        params = {"selector": selector("__ASSET_JOB", "doctor"), "mode": "default"}
        run_id = page.graphql(LAUNCH, params=params)["data"]["launchRun"]["run"]["runId"]
        until(lambda: status_of(page, run_id) == "SUCCESS", "the next run")
        assert PASSWORD.encode() not in b"".join(page.told) + page.said().encode()


def test_a_run_keeps_its_connections(server: Server, project: Project) -> None:
    connections = []

    def note(connection: object, _: object) -> None:
        connections.append(connection)

    with open_instance() as instance:
        event.listen(Engine, "connect", note)  # the server's own count comes late
        try:
            run = job_of_steps().execute_in_process(instance=instance)
            assert len(instance.all_logs(run.run_id)) > 30
        finally:
            event.remove(Engine, "connect", note)
    assert 0 < len(connections) <= 3, "one for runs, events and schedules"


@pytest.mark.parametrize("stopped_at", ["event_logs", "asset_keys"])
def test_an_event_whose_connection_is_lost_is_recorded_once_and_whole(
    server: Server, project: Project, stopped_at: str
) -> None:
    """Lost before the event is stored, or between that and what follows of it."""
    database = os.environ["PGDATABASE"]
    key = dg.AssetKey(["models", "x"])
    with open_instance() as instance:
        thread = threading.Thread(
            target=lambda: instance.report_runless_asset_event(dg.AssetMaterialization(key))
        )
        with locked(stopped_at):
            thread.start()
            waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            pid = until(lambda: server.sql(waiting, database), "a statement that waits")
            server.sql(f"SELECT pg_terminate_backend({pid})", database)
        thread.join(240)
        assert not thread.is_alive()
        (record,) = instance.fetch_materializations(key, limit=10).records
        (known,) = instance.get_asset_records([key])
        assert known.asset_entry.last_materialization_storage_id == record.storage_id


@contextmanager
def locked(table: str) -> Iterator[None]:
    """Another client holds a table while the block runs."""
    engine = create_engine("postgresql+psycopg2://", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        yield


def test_what_is_wrong_with_the_server_is_one_error_without_the_password(
    server: Server,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong horse")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # Dagster's, between six tries
    with pytest.raises(HomeError, match="password authentication failed") as refused:
        opened()
    told = str(refused.value)
    assert "psql -c 'select 1'" in told
    assert f"port {server.port}" in told
    assert "wrong horse" not in told + caplog.text
    assert len([one for one in caplog.records if "Postgres" in one.getMessage()]) == 1


def opened() -> int:
    """How many runs there are."""
    with open_instance() as instance:
        return len(instance.get_runs())


def test_a_package_that_is_missing_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("dagster_postgres.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "dagster_postgres", None)
    with pytest.raises(HomeError, match=r"pip install 'wmtp-assets\[postgres\]'"):
        opened()


def test_a_database_is_the_history_of_one_home_and_both_remedies_work(
    server: Server, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance() as instance:
        job_of_steps().execute_in_process(instance=instance)
    monkeypatch.setenv("DAGSTER_HOME", str(written_home(tmp_path / "another")))
    enter_home(Project(project.catalog, tmp_path / "elsewhere"))
    with pytest.raises(HomeError, match="belongs to another Dagster home") as refused:
        opened()
    assert str(tmp_path / "home") in str(refused.value)
    create, take = re.findall("`([^`]*)`", str(refused.value))
    create = create.replace("wmtp_2", f"{os.environ['PGDATABASE']}_2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGDATABASE", shell(f"{create}; echo $PGDATABASE"))
        assert opened() == 0
    (tmp_path / "another/.dagster/history-id").unlink()  # the new database's owner, since then
    shell(take)
    assert opened() == 1


def shell(command: str) -> str:
    done = subprocess.run(
        ["/bin/sh", "-ec", command],
        env={**os.environ, "PATH": f"{programs()}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_no_failure_is_passed_over_that_appears_below_a_later_one(
    server: Server, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two runs that fail at once the later event may be seen before the earlier one."""
    database = os.environ["PGDATABASE"]
    monkeypatch.setattr(notifications, "_SETTLED", 600.0)
    with open_instance() as instance, receiving() as receiver:
        for name, value in receiver.environment().items():
            monkeypatch.setenv(name, value)
        started = time.time()
        _, place = tick(instance, project, None, started)
        assert place is not None
        for number in range(2):
            run = dg.DagsterRun("verify", status=dg.DagsterRunStatus.STARTED)
            instance.add_run(run)
            instance.report_run_failed(run, f"failure {number}")
            if not number:  # not to be seen yet
                server.sql("CREATE TABLE unseen AS SELECT * FROM event_logs", database)
                server.sql("DELETE FROM event_logs", database)
        said, place = tick(instance, project, place.text(), started)
        assert said == "Nothing new failed."
        assert place is not None
        server.sql("INSERT INTO event_logs SELECT * FROM unseen", database)
        monkeypatch.setattr(notifications, "_SETTLED", 0.0)
        said, _ = tick(instance, project, place.text(), started)
        assert said.startswith("2 sent")
        assert [told[-1] for told in receiver.texts] == ["0", "1"]
