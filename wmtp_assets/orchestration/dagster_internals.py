"""The names of Dagster that no release promises to keep, all that this package uses.

Dagster offers no public way to say that a run of the command line belongs to a code location, to
answer its run monitoring, to choose how its SQLite databases are opened, nor to read the events
that belong to no run. pyproject.toml pins one version of Dagster;
`wmtp_assets_tests/web/test_internals.py` says which of these names another
version has changed.
"""

from dagster._core.instance.utils import RUNLESS_RUN_ID
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage
from dagster._core.storage.tags import REPOSITORY_LABEL_TAG

# Each opens its databases by its own name `create_engine`, of SQLAlchemy's function.
SQLITE_MODULES = (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage)

__all__ = [
    "REPOSITORY_LABEL_TAG",
    "RUNLESS_RUN_ID",
    "SQLITE_MODULES",
    "CheckRunHealthResult",
    "RegisteredCodeLocationOrigin",
    "RemoteJobOrigin",
    "RemoteRepositoryOrigin",
    "WorkerStatus",
]
