"""Dagster's history is written without a wait for the disk per event, and whole when a run ends."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import NullPool, create_engine, text

from wmtp_assets.orchestration.quick_history import quick_history


@dg.op
def one() -> None:
    """An operation."""


@dg.job
def three_operations() -> None:
    """A job of three steps."""
    for name in ("first", "second", "third"):
        one.alias(name)()


def test_a_log_is_kept_while_a_run_lasts(tmp_path: Path) -> None:
    path, log = tmp_path / "events.db", tmp_path / "events.db-wal"
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)

    def write(number: int) -> int:
        with engine.begin() as connection:
            connection.execute(text("PRAGMA journal_mode = WAL"))
            connection.execute(text(f"CREATE TABLE t{number} (x)"))
            waits: int = connection.execute(text("PRAGMA synchronous")).scalar_one()
        return waits

    assert (write(0), log.exists()) == (2, False)
    with quick_history():
        assert (write(1), log.exists()) == (1, True)
        assert (write(2), log.exists()) == (1, True)
    assert not log.exists()
    assert (write(3), log.exists()) == (2, False)
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (4,)


def test_dagsters_own_databases_are_kept_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with dg.DagsterInstance.get() as instance, quick_history():
        result = three_operations.execute_in_process(instance=instance)
        logs = {path.name.removesuffix(".db-wal") for path in tmp_path.rglob("*.db-wal")}
        assert logs >= {"runs", "index", result.run_id}
    assert not list(tmp_path.rglob("*.db-wal"))
    with dg.DagsterInstance.get() as instance:
        assert instance.get_run_by_id(result.run_id).is_success
        steps = [one for one in instance.all_logs(result.run_id) if one.step_key]
        assert {one.step_key for one in steps} == {"first", "second", "third"}
