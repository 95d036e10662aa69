"""What Dagster works out again for each statement of its history, worked out once per process.

Its SQLite storages make an engine of SQLAlchemy for each statement, which then compiles it anew,
and read 80 migration scripts whenever they open a database: a third of the CPU time of a small run,
of which the suite makes hundreds in its own processes. Connections are still opened for each
statement, and the `wmtp` processes that tests start run without any of this.
"""

from __future__ import annotations

import importlib
from typing import Any

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, NullPool, create_engine

STORAGES = (
    "event_log.sqlite.sqlite_event_log",
    "runs.sqlite.sqlite_run_storage",
    "schedules.sqlite.sqlite_schedule_storage",
)


def install() -> None:
    """Puts the caches in place, for this process."""
    scripts: dict[tuple[str | None, str | None], ScriptDirectory] = {}
    engines: dict[tuple[str, str], Engine] = {}
    read = ScriptDirectory.from_config

    def from_config(config: Config) -> ScriptDirectory:
        key = (config.config_file_name, config.get_main_option("script_location"))
        if key not in scripts:
            scripts[key] = read(config)
        return scripts[key]

    def engine(url: str, **options: Any) -> Engine:
        assert options.get("poolclass") is NullPool, "else connections would be shared"
        key = (url, repr(options))
        if key not in engines:
            engines[key] = create_engine(url, **options)
        return engines[key]

    ScriptDirectory.from_config = from_config  # type: ignore[method-assign]
    for name in STORAGES:
        module = importlib.import_module(f"dagster._core.storage.{name}")
        assert hasattr(module, "create_engine"), name
        module.create_engine = engine  # type: ignore[attr-defined]
