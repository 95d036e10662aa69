"""Dagster's history is written without opening a database per event, and whole when a run ends."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Engine, event, text

from wmtp_assets.orchestration.dagster_internals import SQLITE_MODULES
from wmtp_assets.orchestration.quick_history import quick_history


@dg.op
def one() -> None:
    """An operation."""


@dg.job
def three_operations() -> None:
    """A job of three steps."""
    for name in ("first", "second", "third"):
        one.alias(name)()


def test_dagsters_own_databases_are_kept_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    makers = [vars(module)["create_engine"] for module in SQLITE_MODULES]
    with databases_opened() as opened, dg.DagsterInstance.get() as instance, quick_history():
        opened.clear()
        with quick_history():  # as the executor does, within that of the command line
            result = three_operations.execute_in_process(instance=instance)
        # Two at once where Dagster makes the tables of a run's database.
        assert {"runs", "index", result.run_id} <= set(opened)
        assert max(Counter(opened).values()) <= 2
        logs = {path.name.removesuffix(".db-wal") for path in tmp_path.rglob("*.db-wal")}
        assert logs >= {"runs", "index", result.run_id}
        with instance.event_log_storage.index_connection() as connection:
            assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 1
    assert not list(tmp_path.rglob("*.db-wal"))
    assert [vars(module)["create_engine"] for module in SQLITE_MODULES] == makers
    with databases_opened() as opened, dg.DagsterInstance.get() as instance:
        assert instance.get_run_by_id(result.run_id).is_success
        steps = [one for one in instance.all_logs(result.run_id) if one.step_key]
        assert {one.step_key for one in steps} == {"first", "second", "third"}
        with instance.event_log_storage.index_connection() as connection:
            assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
        assert len(opened) > 2, "outside of the block, Dagster opens them as ever"


def test_a_run_sees_what_another_process_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance, quick_history():
        run = instance.create_run_for_job(three_operations)
        (database,) = tmp_path.rglob("runs.db")
        with sqlite3.connect(database, timeout=30) as other:
            other.execute("UPDATE runs SET status = 'CANCELED'")
            # Of the record that is read, too, as Dagster itself writes it.
            other.execute("UPDATE runs SET run_body = replace(run_body, 'NOT_STARTED', 'CANCELED')")
        assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.CANCELED


@contextmanager
def databases_opened() -> Iterator[list[str]]:
    """The names of the SQLite databases that SQLAlchemy opens in the block."""
    opened: list[str] = []

    def note(connection: sqlite3.Connection, _: object) -> None:
        ((_, _, path),) = connection.execute("PRAGMA database_list").fetchall()
        opened.append(Path(path).stem)

    event.listen(Engine, "connect", note)
    try:
        yield opened
    finally:
        event.remove(Engine, "connect", note)
