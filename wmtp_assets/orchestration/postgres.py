"""Dagster's history in Postgres: connections that are kept, whose history it is, and what is wrong.

`dagster.postgres.yaml` names the storage, which is Dagster's own (dagster-postgres). It connects
anew for each statement, with the password's exchange and a process of the server each time: three
quarters of the CPU time of a run that makes nothing.
"""

from __future__ import annotations

import logging
import platform
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from sqlalchemy import Engine, QueuePool, event, text
from sqlalchemy.exc import DBAPIError

_PACKAGE = "dagster_postgres"
_MAKER = "create_pg_engine"  # in each module of dagster-postgres that has a storage
_KEY = "wmtp_assets/home"  # in Dagster's table of keys and values
_ID = "history-id"
_RECORD = "handle_new_event"  # of an instance: stores an event, and the status that follows of it
_TRIES = 3
_EARLIER = text(
    "DELETE FROM event_logs WHERE run_id = :run_id AND event = :event AND id < "
    "(SELECT max(id) FROM event_logs WHERE run_id = :run_id AND event = :event)"
)
_OVERFLOW = 20  # connections beyond the one that is kept, while several threads ask at once
_RECYCLE_SECONDS = 300  # what lies between may forget a connection that is idle for long
_RETRYING = "Retrying failed database connection"  # how each of Dagster's warnings begins


def is_in_postgres(instance: dg.DagsterInstance) -> bool:
    """Whether the instance keeps its history in Postgres."""
    return type(instance.run_storage).__module__.partition(".")[0] == _PACKAGE


@contextmanager
def connections_kept(instance: dg.DagsterInstance, statement_ms: int = 0) -> Iterator[None]:
    """In the block, a history in Postgres is written through connections that stay open.

    Each is tried before it is used, and an event whose connection is lost is recorded again: after
    a restart of the server the next statement connects anew, for which Dagster waits some ten
    seconds. A statement takes at most `statement_ms` milliseconds (0: as long as it takes).
    Nothing is done for a history that is elsewhere.
    """
    storages = [instance.run_storage, instance.event_log_storage, instance.schedule_storage]
    before = [vars(storage)["_engine"] for storage in storages if is_in_postgres(instance)]
    if not before or any(isinstance(engine.pool, _Kept) for engine in before):
        yield
        return
    kept = [_kept_engine(storage, statement_ms) for storage in storages]
    _use(storages, kept)
    vars(instance)[_RECORD] = _recording(instance)
    try:
        yield
    finally:
        del vars(instance)[_RECORD]
        _use(storages, before)
        for engine in kept:
            engine.dispose()


def _recording(instance: dg.DagsterInstance) -> Callable[..., None]:
    """What records an event of the instance, again where the connection was lost meanwhile."""
    record = instance.handle_new_event

    def handle_new_event(event: dg.EventLogEntry, **more: Any) -> None:
        for number in range(_TRIES):
            try:
                record(event, **more)
            except Exception as error:
                if number + 1 == _TRIES or not _is_lost(error):
                    raise
                continue
            if number:
                # What of it was recorded before the loss; tables of assets name the last one.
                written = event.to_json()  # type: ignore[no-untyped-call]
                with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
                    connection.execute(_EARLIER, {"run_id": event.run_id, "event": written})
            return

    return handle_new_event


def _is_lost(error: BaseException) -> bool:
    return any(isinstance(e, DBAPIError) and e.connection_invalidated for e in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class _Kept(QueuePool):
    """The pool of `connections_kept`."""


def _kept_engine(storage: object, statement_ms: int) -> Engine:
    """The storage's own engine but for its pool: it, too, may get its tokens from a cloud."""
    make = vars(sys.modules[type(storage).__module__])[_MAKER]
    options = vars(storage)["_engine"].url.query.get("options")
    engine: Engine = make(
        vars(storage)["postgres_url"],
        vars(storage)["_token_provider"],
        isolation_level="AUTOCOMMIT",
        poolclass=_Kept,
        pool_size=1,
        max_overflow=_OVERFLOW,
        pool_pre_ping=True,
        pool_use_lifo=True,
        pool_recycle=_RECYCLE_SECONDS,
        # As Dagster's own pooled engines; else those of the URL are lost.
        **({"connect_args": {"options": options}} if options else {}),
    )
    if statement_ms:

        @event.listens_for(engine, "connect")
        def limit(connection: Any, _: object) -> None:
            with connection, connection.cursor() as cursor:
                cursor.execute("SET statement_timeout = %s", (statement_ms,))

    return engine


def _use(storages: list[Any], engines: list[Engine]) -> None:
    for storage, engine in zip(storages, engines, strict=True):
        storage._engine = engine


def other_owner(instance: dg.DagsterInstance, state: Path) -> tuple[str, str] | None:
    """Records that a history in Postgres is that of one home, whose folder of states is `state`.

    None where that is so; else which home it belongs to, and the command that hands it to this one.
    Which runs are alive, and whether a page with a daemon is served, is known in a home: two homes
    with one history would each end the other's runs, and start what is scheduled twice.
    """
    if not is_in_postgres(instance):
        return None
    path = state / _ID
    if not path.is_file():
        written = path.with_suffix(".new")
        written.write_text(f"{uuid.uuid4()}\n", encoding="utf-8")
        written.replace(path)
    mine = path.read_text(encoding="utf-8").strip()
    value = f"{mine} {state.parent} on {platform.node()}"
    with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
        # Atomic: of two homes that begin at once one gets it.
        connection.execute(
            text("INSERT INTO kvs (key, value) VALUES (:key, :value) ON CONFLICT (key) DO NOTHING"),
            {"key": _KEY, "value": value},
        )
    found = instance.run_storage.get_cursor_values({_KEY})[_KEY]
    owner, _, home = found.partition(" ")
    if owner == mine:
        return None
    return home, f"echo {owner} > {path}"


def problem_of(error: BaseException) -> str | None:
    """What the server or its driver says is wrong, on one line; None for other errors.

    Dagster's own words are that there were too many tries.
    """
    for one in _causes(error):
        if isinstance(one, DBAPIError) and type(one.orig).__module__.startswith("psycopg"):
            return " ".join(str(one.orig).split())
    return None


def is_package_missing(error: BaseException) -> bool:
    """Whether a configuration names Postgres where dagster-postgres is not installed."""
    return any(
        isinstance(one, ImportError) and (one.name or "").partition(".")[0] == _PACKAGE
        for one in _causes(error)
    )


@contextmanager
def one_warning() -> Iterator[None]:
    """In the block, Dagster's tries to connect are told in one line, not in six times three."""
    told = False

    def shorten(record: logging.LogRecord) -> bool:
        nonlocal told
        if not str(record.msg).startswith(_RETRYING):
            return True
        told, first = True, not told
        said = " ".join(record.getMessage().removeprefix(f"{_RETRYING}: ").split())
        record.msg, record.args = "Postgres does not let us in, tried again for 10 s: %s", (said,)
        return first

    root = logging.getLogger()
    root.addFilter(shorten)
    try:
        yield
    finally:
        root.removeFilter(shorten)
