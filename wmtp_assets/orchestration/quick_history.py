"""Dagster's history in SQLite, written without opening a database anew for every event.

Dagster makes a SQLAlchemy engine for each statement: it opens the database, and compiles the
statement again: half of the CPU time of a run that makes nothing. Whoever closes the last
connection to a database with a write-ahead log empties the log and removes it, and each commit
waits for the disk: over 12,000 waits and 7,000 removed files in a run of 52 artifacts.

While a run lasts there is one engine for each database, whose connections stay open, and commits
are in order but not waited for: a power failure may cost the history its last events, and nothing
of the storage, whose files are synced by themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from sqlalchemy import Engine, QueuePool, create_engine, event

from wmtp_assets.orchestration.dagster_internals import SQLITE_MODULES

_lock = threading.Lock()
_engines: dict[str, Engine] = {}
_makers: list[Callable[..., Engine]] = []  # what each of Dagster's modules made engines by before
_blocks = 0  # that are entered; a run has one within another
_NAME = create_engine.__name__


@contextmanager
def quick_history() -> Iterator[None]:
    """In the block, Dagster's SQLite databases are opened once and written as described above."""
    global _blocks
    with _lock:
        _blocks += 1
        if _blocks == 1:
            for module in SQLITE_MODULES:
                _makers.append(vars(module)[_NAME])
                vars(module)[_NAME] = _engine_of
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if not _blocks:
                for module, maker in zip(SQLITE_MODULES, _makers, strict=True):
                    vars(module)[_NAME] = maker
                _makers.clear()
                for engine in _engines.values():
                    QueuePool.dispose(cast(QueuePool, engine.pool))
                _engines.clear()


class _KeptOpen(QueuePool):
    """Connections that outlast Dagster's use of an engine, which it disposes of each time."""

    def dispose(self) -> None:
        """Does nothing."""

    def recreate(self) -> _KeptOpen:
        """This pool itself."""
        return self


def _engine_of(url: str, **options: Any) -> Engine:
    """The one engine for a database, with Dagster's options except for its pool."""
    with _lock:
        if url not in _engines:
            # Always the connection that was used last: what one has in memory of a database is of
            # no use any more once another has written to it.
            pool = {"poolclass": _KeptOpen, "pool_use_lifo": True}
            engine = create_engine(url, **{**options, **pool})
            event.listen(engine, "connect", _without_waiting)
            _engines[url] = engine
        return _engines[url]


def _without_waiting(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
