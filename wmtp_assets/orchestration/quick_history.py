"""Dagster's history in SQLite, written without waiting for the disk at every event.

Dagster opens its databases anew for each statement. Whoever closes the last connection to a
database with a write-ahead log empties the log and removes it, and each commit waits for the disk:
over 12,000 waits and 7,000 removed files in a run of 52 artifacts, most of the time of one that
makes nothing. While a run lasts, one more connection to each database keeps its log, and commits
are in order but not waited for: a power failure may cost the history its last events, and nothing
of the storage, whose files are synced by themselves.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import event
from sqlalchemy.engine import Engine


@contextmanager
def quick_history() -> Iterator[None]:
    """In the block, SQLite databases that SQLAlchemy opens are written as described above."""
    lock = threading.Lock()
    kept: dict[str, sqlite3.Connection] = {}

    def opened(connection: object, _: object) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        connection.execute("PRAGMA synchronous = NORMAL")
        for _, _, path in connection.execute("PRAGMA database_list").fetchall():
            with lock:
                if not path or path in kept:
                    continue
                (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
                if mode == "wal":  # Dagster sets it for a new database
                    kept[path] = _kept_open(path)

    event.listen(Engine, "connect", opened)
    try:
        yield
    finally:
        event.remove(Engine, "connect", opened)
        for connection in kept.values():
            connection.close()


def _kept_open(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    with suppress(sqlite3.Error):  # to have read once is what keeps the log; Dagster reports errors
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    return connection
