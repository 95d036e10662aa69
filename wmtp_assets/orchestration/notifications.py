"""A sensor that sends failures to a webhook: of runs, of checks, and of the gate.

It reads the history from where its cursor stands. Each message is sent at least once: the cursor
moves on when the webhook has accepted it, or after `_TRIES` tries, which is then logged. Where
messages go is said by the environment alone (`notify/webhook.py`).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.notify.message import MOST_ITEMS, Item, Message
from wmtp_assets.notify.webhook import (
    URL,
    DeliveryError,
    Webhook,
    WebhookSettingsError,
    page_url,
)
from wmtp_assets.orchestration.assets.readiness import KEY as READINESS
from wmtp_assets.orchestration.dagster_internals import RUNLESS_RUN_ID
from wmtp_assets.orchestration.failures import words_of
from wmtp_assets.orchestration.gate_status import CHECK as GATE
from wmtp_assets.orchestration.gate_status import READY_CHECK
from wmtp_assets.orchestration.postgres import is_in_postgres
from wmtp_assets.orchestration.presentation import WHAT_TO_DO
from wmtp_assets.storage.digests import digest_of

SENSOR = "notify"

_EVERY_SECONDS = 30
_TRIES = 6
_FIRST_WAIT, _LONGEST_WAIT = 60.0, 3600.0  # seconds; doubled after each failure
_AT_ONCE = 5  # messages per tick, accepted or not
# Postgres gives an event its id before others can see it: one with a lower id may appear after it,
# below the cursor. An event waits that long, in seconds, for those before it.
_SETTLED = 5.0
_TICK_SECONDS = 20.0  # when no further message is begun: a tick may take a minute
_End = Literal[
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_CANCELED,
]
_ENDS: tuple[_End, ...] = (
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_SUCCESS,
    dg.DagsterEventType.RUN_CANCELED,
)
_OUTSIDE = "outside of runs"  # the source of results that were found by no run
_REASONS = {
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.RUN_FAILURE,
}
_OF_A_CHECK = "DagsterAssetCheckFailedError"  # a step's failure that only repeats its checks'
_WHAT_TO_DO = " What to do: "  # as errors.py writes it
_AGAIN = {"verify": "wmtp verify --deep"}  # by job; of the others "wmtp materialize"
_LOG = logging.getLogger("wmtp_assets.notify")


@dataclass(frozen=True)
class Place:
    """How far the history was read and sent: the sensor's cursor.

    `started`: when the sensor was switched on. `after`: Dagster's cursor for each source of events,
    empty before its first. `until`: for each source the time of its latest event so far; where
    runs were deleted, SQLite gives the ids of their events to later ones, below the cursor.
    `known`: what is known to fail and was sent, by check, with the digest of what was found.
    `tries` and `not_before`: of the message that comes next.
    """

    started: float
    after: Mapping[str, str]
    until: Mapping[str, float]
    known: Mapping[str, str] = field(default_factory=dict)
    tries: int = 0
    not_before: float = 0.0

    @classmethod
    def read(cls, cursor: str | None) -> Place | None:
        """What `text` gave; None for anything else."""
        try:
            place = cls(**json.loads(cursor or ""))
        except (ValueError, TypeError):
            return None
        sources = {_OUTSIDE, *(one.value for one in _ENDS)}
        return place if set(place.after) == set(place.until) == sources else None

    def behind(self, event: _Event) -> Place:
        """The place after an event, whose message has had no try yet."""
        return replace(
            self,
            after={**self.after, event.source: event.cursor},
            until={
                **self.until,
                event.source: max(self.until[event.source], event.entry.timestamp),
            },
            tries=0,
            not_before=0.0,
        )

    def text(self) -> str:
        """As it is kept."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class _Event:
    """The next event of a source, and the source's cursor behind it."""

    source: str
    cursor: str
    entry: dg.EventLogEntry


def notification_sensor(project: Project) -> dg.SensorDefinition:
    """The sensor, which starts no run."""

    @dg.sensor(
        name=SENSOR,
        minimum_interval_seconds=_EVERY_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=f"Sends failed runs, failed checks and a closed gate to the webhook in {URL}, "
        "from the time when it is switched on.",
    )
    def notify(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        started = context.last_sensor_start_time
        if started is None:  # the page's "Test sensor", whose cursor anyone may choose
            return dg.SensorResult(
                skip_reason="Nothing is sent by a test of the sensor: `wmtp notify --test` sends "
                "a message."
            )
        said, place = tick(context.instance, project, context.cursor, started)
        return dg.SensorResult(skip_reason=said, cursor=place.text() if place else context.cursor)

    return notify


def tick(
    instance: dg.DagsterInstance, project: Project, cursor: str | None, started: float
) -> tuple[str, Place | None]:
    """Sends what is new after `cursor`: what to say of it, and the new place.

    The place is None where it stays as it is. `started`: when the sensor was switched on; whatever
    happened before is not sent.
    """
    place = Place.read(cursor)
    try:
        webhook, page = Webhook.from_environment(), page_url()
    except WebhookSettingsError as error:
        return str(error), None
    if webhook is None:
        return f"{URL} is not set, so nothing is sent.", _begin(instance, started, time.time())
    if place is None or place.started != started:
        if place is not None and place.tries:
            _LOG.error("A message was not sent: the sensor was switched off and on meanwhile.")
        since = started
        if place is None and cursor:
            since = time.time()
            _LOG.error("How far messages were sent is not known any more: begins anew, from now.")
        place = _begin(instance, started, since)
        return f"What happens from now on is sent to {webhook}.", place
    if time.time() < place.not_before:
        return f"The next try is in {place.not_before - time.time():.0f} s.", None
    tried = sent = 0
    begun = time.monotonic()
    while tried < _AT_ONCE and time.monotonic() - begun < _TICK_SECONDS:
        event = _next(instance, place)
        if event is None:
            break
        message, known = _message_of(instance, project, event.entry, place.known, page)
        behind = place.behind(event)
        if message is not None:
            tried += 1
            try:
                webhook.send(message)
            except DeliveryError as error:
                tries = place.tries + 1
                if error.again and tries < _TRIES:
                    wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (tries - 1))
                    wait = max(wait, min(error.after or 0.0, _LONGEST_WAIT))
                    said = f"{error} It is tried again in {wait:.0f} s ({tries} of {_TRIES} tries)."
                    return said, replace(place, tries=tries, not_before=time.time() + wait)
                _give_up(instance, event.entry, message, error, tries)
                # What it said is sent with the next failure of the same check. What passes now is
                # news when it fails again.
                failing = {name: one for name, one in place.known.items() if name in known}
                place = replace(behind, known=failing)
                continue
            sent += 1
        place = replace(behind, known=known)
    return f"{sent} sent to {webhook}." if sent else "Nothing new failed.", place


def _begin(instance: dg.DagsterInstance, started: float, since: float) -> Place:
    """Where what happened after `since` begins."""
    after = {
        one.value: instance.fetch_run_status_changes(one, limit=1, ascending=False).cursor
        for one in _ENDS
    }
    entry, cursor = _outside(instance, "", ascending=False)
    while entry is not None and entry.timestamp > since:
        entry, cursor = _outside(instance, cursor, ascending=False)
    after[_OUTSIDE] = cursor if entry is not None else ""
    return Place(started, after, dict.fromkeys(after, since))


def _outside(
    instance: dg.DagsterInstance, cursor: str, *, ascending: bool = True
) -> tuple[dg.EventLogEntry | None, str]:
    """The next check's result that was found by no run, beyond `cursor`, and the cursor there."""
    found = instance.get_records_for_run(
        RUNLESS_RUN_ID,
        cursor=cursor or None,
        of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION,
        limit=1,
        ascending=ascending,
    )
    return (found.records[0].event_log_entry if found.records else None), found.cursor


def _next(instance: dg.DagsterInstance, place: Place) -> _Event | None:
    """The oldest event that is not sent yet: the end of a run, or a check's result without one."""
    events = []
    for one in _ENDS:
        later = dg.RunStatusChangeRecordsFilter(one, after_timestamp=place.until[one.value])
        found = [
            instance.fetch_run_status_changes(
                one, limit=1, cursor=place.after[one.value], ascending=True
            ),
            instance.fetch_run_status_changes(later, limit=1, ascending=True),
        ]
        found = [ends for ends in found if ends.records]
        if found:
            first = min(found, key=lambda ends: ends.records[0].storage_id)
            events.append(_Event(one.value, first.cursor, first.records[0].event_log_entry))
    cursor = place.after[_OUTSIDE]
    oldest, _ = _outside(instance, "")
    if oldest is not None and oldest.timestamp > place.until[_OUTSIDE]:
        cursor = ""  # nothing of it was read: the history before it was wiped
    entry, cursor = _outside(instance, cursor)
    if entry is not None:
        events.append(_Event(_OUTSIDE, cursor, entry))
    oldest_new = min(events, key=lambda event: event.entry.timestamp, default=None)
    if oldest_new is not None and is_in_postgres(instance):
        settled = oldest_new.entry.timestamp <= time.time() - _SETTLED
        return oldest_new if settled else None
    return oldest_new


def _message_of(
    instance: dg.DagsterInstance,
    project: Project,
    entry: dg.EventLogEntry,
    known: Mapping[str, str],
    page: str | None,
) -> tuple[Message | None, Mapping[str, str]]:
    """What to send about an event, None where it is nothing new; and what is then known to fail."""
    run_id = entry.run_id
    run = instance.get_run_by_id(run_id) if run_id != RUNLESS_RUN_ID else None
    events: Sequence[dg.EventLogEntry] = [entry]
    if run is not None:
        events = instance.all_logs(run_id, of_type=_REASONS)
    checks = [
        event.dagster_event.asset_check_evaluation_data
        for event in events
        if event.dagster_event
        and event.dagster_event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    # Between artifacts and gate: the one says what failed, the other what follows. Of a check that
    # a run computed more than once, the last result counts.
    last = {_name(check): check for check in checks if check.check_name != READY_CHECK}
    checks = list(last.values())
    now = dict(known)
    fresh, all_failed = [], []
    for check in checks:
        name, digest = _name(check), _finding(check)
        if check.passed:
            now.pop(name, None)
            continue
        all_failed.append(check)
        if known.get(name) != digest:
            fresh.append(check)
        now[name] = digest
    failed = entry.dagster_event_type is dg.DagsterEventType.RUN_FAILURE
    # Of a run that failed all that blocks, known or not; and never a warning twice.
    shown = [one for one in all_failed if one in fresh or (failed and _blocks(one))]
    shown.sort(key=lambda check: (not _blocks(check), check.asset_key == READINESS))
    items = [_item(check) for check in shown]
    blocking = sum(map(_blocks, shown))
    if failed:
        steps = _failed_steps(events)
        items[blocking:blocking] = steps
        items = items or [_item_of_end(entry)]
        items[0] = _with_remedy(items[0], run)
    if not items:
        return None, now
    closed = any(check.asset_key == READINESS for check in shown)
    return (
        Message(
            title=_title(run, failed, closed, len(shown), blocking),
            where=f"Catalog {project.catalog.name}, storage {project.storage}",
            items=tuple(items[:MOST_ITEMS]),
            more=len(items[MOST_ITEMS:]),
            link=_link(page, run, shown),
        ),
        now,
    )


def _title(run: dg.DagsterRun | None, failed: bool, closed: bool, checks: int, block: int) -> str:
    # Dagster names the job of "Materialize" itself.
    name = "" if run is None else "of chosen assets" if run.job_name[:2] == "__" else run.job_name
    if failed:
        return f"The run {name} failed" + (", and the gate is CLOSED" if closed else "")
    if closed:
        return "The gate is CLOSED"
    noun = "check" if checks == 1 else "checks"
    severity = "" if block else " of severity warning"
    return f"{checks} {noun}{severity} failed" + (f" in the run {name}" if name else "")


def _name(check: dg.AssetCheckEvaluation) -> str:
    return f"{check.asset_key.to_user_string()} {check.check_name}"


def _blocks(check: dg.AssetCheckEvaluation) -> bool:
    return check.severity is dg.AssetCheckSeverity.ERROR


def _finding(check: dg.AssetCheckEvaluation) -> str:
    """Changes with what a check found. The gate is closed or open, for whatever reasons."""
    if check.asset_key == READINESS and check.check_name == GATE:
        return "closed"
    return digest_of([_shown(check, "expected"), _shown(check, "found")])[:12]


def _shown(check: dg.AssetCheckEvaluation, name: str) -> str:
    value = check.metadata.get(name)
    return "" if value is None else str(value.value)


def _item(check: dg.AssetCheckEvaluation) -> Item:
    expected, found, where = (_shown(check, name) for name in ("expected", "found", "where"))
    why = f"expected {expected}; found {found}" + (f"; in {where}" if where else "")
    severity = "" if _blocks(check) else " (warning)"
    return Item(f"{_name(check)}{severity}", why, _shown(check, WHAT_TO_DO))


def _failed_steps(events: Iterable[dg.EventLogEntry]) -> list[Item]:
    """The steps that failed by themselves, the first one first."""
    items = []
    for event in events:
        if event.dagster_event_type is not dg.DagsterEventType.STEP_FAILURE:
            continue
        step = event.dagster_event
        error = step.step_failure_data.error if step else None
        if error is not None and error.cls_name == _OF_A_CHECK:
            continue
        items.append(_item_of(event.step_key or "a step", words_of(error) if error else ""))
    return items


def _item_of_end(entry: dg.EventLogEntry) -> Item:
    """Of a run without a failed step: its process is gone, or it could not begin."""
    event = entry.dagster_event
    error = getattr(event.event_specific_data, "error", None) if event else None
    return _item_of("The run", words_of(error) if error else (event and event.message) or "")


def _item_of(what: str, message: str) -> Item:
    """A failure with the message of an error, whose remedy stands at its end."""
    # The last one is ours: what comes before may quote text from upstream.
    why, stated, remedy = message.rpartition(_WHAT_TO_DO)
    if not stated:
        why, remedy = message, ""
    return Item(what, why or "no message", remedy)


def _with_remedy(item: Item, run: dg.DagsterRun | None) -> Item:
    if item.remedy or run is None:
        return item
    return replace(item, remedy=_AGAIN.get(run.job_name, "wmtp materialize"))


def _link(
    page: str | None, run: dg.DagsterRun | None, checks: Sequence[dg.AssetCheckEvaluation]
) -> str | None:
    if page is None:
        return None
    if run is not None:
        return f"{page}/runs/{run.run_id}"
    path = "/".join(checks[0].asset_key.path) if checks else "/".join(READINESS.path)
    return f"{page}/assets/{path}?view=checks"


def _give_up(
    instance: dg.DagsterInstance,
    entry: dg.EventLogEntry,
    message: Message,
    error: DeliveryError,
    tries: int,
) -> None:
    """Says in the log, and on the run's page, that nobody was notified."""
    said = f'Nobody was notified of "{message.title}" ({tries} of {_TRIES} tries). {error}'
    _LOG.error("%s", said)
    run = instance.get_run_by_id(entry.run_id) if entry.run_id != RUNLESS_RUN_ID else None
    if run is not None:
        instance.report_engine_event(said, run)
