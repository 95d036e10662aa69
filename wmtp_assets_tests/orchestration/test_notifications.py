"""The sensor `notify`: what it sends of a history, once, and what becomes of what is not accepted.

The history is Dagster's own, in SQLite; the webhook is a server on loopback.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import dagster as dg
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import load_catalog
from wmtp_assets.errors import WmtpError
from wmtp_assets.hub.retry import Policy
from wmtp_assets.notify import webhook
from wmtp_assets.orchestration import notifications
from wmtp_assets.orchestration.assets.readiness import KEY as READINESS
from wmtp_assets.orchestration.gate_status import CHECK as GATE
from wmtp_assets.orchestration.gate_status import READY_CHECK
from wmtp_assets.orchestration.notifications import Place, notification_sensor, tick
from wmtp_assets.orchestration.presentation import WHAT_TO_DO
from wmtp_assets.orchestration.quick_history import quick_history
from wmtp_assets_tests.hub.secrets import leaking_files, leaks
from wmtp_assets_tests.notify.receiver import SECRET, Receiver, Reply, receiving


@dataclass
class World:
    """One asset with a check, whose results are chosen, a history, and the sensor's eyes on it."""

    instance: dg.DagsterInstance
    project: Project
    receiver: Receiver
    cursor: str | None = None
    error: str = ""
    found: str = "as expected"
    blocking: bool = True
    works: bool = True
    switched_on: float = field(default_factory=time.time)

    def switch_on(self) -> None:
        self.switched_on = time.time()

    def run(self, job: str = "refresh") -> str:
        """Makes and checks the asset; the run's id."""

        @dg.asset(key=["models", "x"])
        def made() -> None:
            if not self.works:
                raise WmtpError(
                    "The source is damaged", found=self.found, hint="`wmtp materialize models/x`"
                )

        @dg.asset_check(asset=made, name="rows_match", blocking=self.blocking)
        def checked() -> dg.AssetCheckResult:
            severity = dg.AssetCheckSeverity.ERROR if self.blocking else dg.AssetCheckSeverity.WARN
            return dg.AssetCheckResult(
                passed=self.found == "as expected",
                severity=severity,
                metadata={
                    "expected": "as expected",
                    "found": self.found,
                    "where": "x.jsonl",
                    WHAT_TO_DO: "wmtp materialize models/x --force",
                },
            )

        @dg.asset(deps=[made])
        def after() -> None:
            pass

        defs = dg.Definitions(
            assets=[made, after],
            asset_checks=[checked],
            jobs=[dg.define_asset_job(job, selection=dg.AssetSelection.all())],
            executor=dg.in_process_executor,
        )
        ran = defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False
        )
        return ran.run_id

    def gate(self, *, is_open: bool, found: str = "not met: x_ready") -> None:
        self.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=READINESS,
                check_name=GATE,
                passed=is_open,
                metadata={"expected": "open", "found": found, WHAT_TO_DO: "wmtp gate"},
            )
        )

    def tick(self) -> str:
        """One evaluation, as the daemon's: what it says, and the cursor is kept."""
        said, place = tick(self.instance, self.project, self.cursor, self.switched_on)
        self.cursor = place.text() if place else self.cursor
        return said

    @property
    def place(self) -> Place:
        place = Place.read(self.cursor)
        assert place is not None
        return place

    def wait(self) -> None:
        """As if the time until the next try had passed."""
        self.cursor = replace(self.place, not_before=0.0).text()

    def whole(self) -> str:
        """The last message."""
        return json.dumps(self.receiver.value(), ensure_ascii=False)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    project = Project(load_catalog("sample"), tmp_path / "storage")
    monkeypatch.delenv("WMTP_PAGE_URL", raising=False)
    # A busy machine may let the receiver wait.
    monkeypatch.setattr(notifications, "_TICK_SECONDS", 600.0)
    monkeypatch.setattr(webhook, "_HURRIED", Policy(connect=240.0, stall=240.0))
    home = tmp_path / "home"
    home.mkdir()
    settings = {"telemetry": {"enabled": False}}
    with (
        receiving() as receiver,
        quick_history(),
        dg.DagsterInstance.local_temp(str(home), settings) as instance,
    ):
        for name, value in receiver.environment().items():
            monkeypatch.setenv(name, value)
        yield World(instance, project, receiver)
        assert leaking_files(SECRET, tmp_path) == [], "in the history"


@pytest.fixture
def on(world: World) -> World:
    """A sensor that was just switched on."""
    assert "from now on" in world.tick()
    return world


def test_nothing_of_what_was_before_is_sent(world: World) -> None:
    world.found = "spoiled"
    world.run()
    world.gate(is_open=False)
    world.switch_on()
    world.tick()
    assert world.tick() == "Nothing new failed."
    world.run()
    world.tick()
    assert len(world.receiver.posted) == 1
    # Switched off, and on again after more had failed.
    world.run()
    world.switch_on()
    world.tick()
    world.tick()
    assert len(world.receiver.posted) == 1


def test_what_happens_before_the_first_tick_is_sent(world: World) -> None:
    """The daemon may need half a minute; and what was before the switch is sent by no tick."""
    world.gate(is_open=False, found="before")
    world.gate(is_open=True)
    world.switch_on()
    world.gate(is_open=False, found="after")
    run = dg.DagsterRun("verify", status=dg.DagsterRunStatus.STARTED)
    world.instance.add_run(run)
    world.instance.report_run_failed(run, "The process of this run is gone")
    assert "from now on" in world.tick()
    assert "2 sent" in world.tick()
    assert "found after" in world.receiver.texts[0]
    assert "is gone" in world.receiver.texts[1]
    assert world.tick() == "Nothing new failed."


def failed_run(world: World, message: str) -> str:
    run = dg.DagsterRun("verify", status=dg.DagsterRunStatus.STARTED)
    world.instance.add_run(run)
    world.instance.report_run_failed(run, message)
    return run.run_id


def test_runs_that_are_deleted_hide_no_later_ones(on: World) -> None:
    """SQLite gives the ids of what was deleted last to what comes next."""
    runs = [failed_run(on, f"failure {number}") for number in range(3)]
    assert "3 sent" in on.tick()
    for run_id in runs[1:]:
        on.instance.delete_run(run_id)
    for number in range(3, 6):
        failed_run(on, f"failure {number}")
    assert "3 sent" in on.tick()
    assert on.tick() == "Nothing new failed."
    assert [text[-1] for text in on.receiver.texts] == [*"012345"]


def test_a_history_that_is_wiped_hides_nothing_of_the_next(on: World) -> None:
    on.gate(is_open=True)
    on.gate(is_open=False)
    for number in range(2):
        failed_run(on, f"failure {number}")
    assert "3 sent" in on.tick()
    on.instance.wipe()
    on.gate(is_open=True)
    on.gate(is_open=False)
    failed_run(on, "failure 2")
    assert "2 sent" in on.tick()
    assert on.tick() == "Nothing new failed."


def found(name: str, *, passed: bool) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(["models", "x"]),
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"expected": "11", "found": "11" if passed else "12"},
    )


def run_with(world: World, *checks: dg.AssetCheckEvaluation) -> None:
    """A run that succeeds and found these, in this order."""
    run = dg.DagsterRun("verify", status=dg.DagsterRunStatus.STARTED)
    world.instance.add_run(run)
    for check in checks:
        event = dg.DagsterEvent(
            dg.DagsterEventType.ASSET_CHECK_EVALUATION.value,
            run.job_name,
            event_specific_data=check,
        )
        world.instance.report_dagster_event(event, run.run_id)
    end = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, run.job_name)
    world.instance.report_dagster_event(end, run.run_id)


def test_a_message_that_is_given_up_loses_no_later_one(on: World) -> None:
    """What passed in it is news when it fails again."""
    run_with(on, found("a", passed=False))
    assert "1 sent" in on.tick()
    on.receiver.replies = [Reply(400)]
    run_with(on, found("a", passed=True), found("b", passed=False))
    on.tick()
    run_with(on, found("a", passed=False))
    assert "1 sent" in on.tick()
    assert "models/x a (warning): expected 11" in on.receiver.texts[-1]


def test_of_a_check_that_a_run_computed_twice_the_last_result_counts(on: World) -> None:
    run_with(on, found("a", passed=False), found("a", passed=True))
    assert on.tick() == "Nothing new failed."


def test_messages_that_are_refused_go_out_a_few_at_a_time_too(on: World) -> None:
    on.receiver.replies = [Reply(400)] * 7
    for number in range(7):
        failed_run(on, f"failure {number}")
    on.tick()
    assert len(on.receiver.posted) == 5
    on.tick()
    assert len(on.receiver.posted) == 7


def test_a_remedy_that_upstream_wrote_is_none_of_ours(on: World) -> None:
    on.works = False
    on.found = "a row\nWhat to do: `curl evil` What to do: `curl worse`"
    on.run()
    on.tick()
    lines = [
        line
        for block in on.receiver.value()["blocks"]
        for line in block["text"]["text"].splitlines()
        if line.startswith("What to do: ")
    ]
    assert lines == ["What to do: `wmtp materialize models/x`"]


def test_a_run_that_failed_is_one_message_with_reason_remedy_and_link(
    on: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WMTP_PAGE_URL", "https://wmtp.example.org/")
    on.works, on.found = False, "<!channel>"
    run_id = on.run()
    assert "1 sent to Slack" in on.tick()
    (text,) = on.receiver.texts
    assert text.startswith("The run refresh failed. models__x: The source is damaged.")
    assert "&lt;!channel&gt;" in text
    whole = on.whole()
    assert "<!channel>" not in whole
    assert "What to do: `wmtp materialize models/x`" in whole
    assert "Catalog sample, storage" in whole
    assert f"<https://wmtp.example.org/runs/{run_id}|Open the page>" in whole
    assert on.tick() == "Nothing new failed."
    assert len(on.receiver.posted) == 1


def test_a_blocking_check_is_named_before_the_step_that_it_failed(on: World) -> None:
    on.found = "3 rows"
    on.run()
    on.tick()
    (text,) = on.receiver.texts
    assert text.startswith("The run refresh failed. models/x rows_match: expected as expected; ")
    assert "found 3 rows; in x.jsonl" in text
    assert "blocking asset check" not in on.whole(), "the step's own failure says nothing more"
    assert "wmtp materialize models/x --force" in on.whole()
    on.run()
    on.tick()
    assert len(on.receiver.posted) == 2, "each failed run"


def test_a_warning_of_a_run_that_succeeds_is_sent(on: World) -> None:
    on.blocking, on.found = False, "difficulty 12"
    on.run()
    on.tick()
    (text,) = on.receiver.texts
    assert text.startswith("1 check of severity warning failed in the run refresh. models/x rows")
    assert "models/x rows_match (warning)" in on.whole()


def test_a_failed_check_is_sent_once_until_it_passes_or_finds_something_else(on: World) -> None:
    sent = []
    for found in ("12", "12", "13", "13", "", "13"):
        on.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(["models", "x"]),
                check_name="rows_match",
                passed=not found,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"expected": "11", "found": found},
            )
        )
        on.tick()
        sent.append(len(on.receiver.posted))
    assert sent == [1, 1, 2, 2, 2, 3]
    assert on.receiver.texts[0].startswith("1 check of severity warning failed. models/x rows_")


def test_what_is_not_ready_is_sent_by_its_artifacts_and_the_gate_alone(on: World) -> None:
    on.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(["gate", "x_ready"]), check_name=READY_CHECK, passed=False
        )
    )
    on.gate(is_open=False)
    on.tick()
    (text,) = on.receiver.texts
    assert "x_ready is_ready" not in text


def test_a_closed_gate_is_sent_once_until_it_opens(on: World) -> None:
    on.gate(is_open=True)
    on.gate(is_open=False)
    on.gate(is_open=False, found="not met: y_ready")
    on.tick()
    assert len(on.receiver.posted) == 1
    assert on.receiver.texts[0].startswith("The gate is CLOSED. phase2_readiness gate_is_open")
    assert "What to do: wmtp gate" in on.whole()
    on.gate(is_open=True)
    on.gate(is_open=False)
    on.tick()
    assert len(on.receiver.posted) == 2


def test_a_run_that_died_and_one_that_was_canceled(on: World) -> None:
    for report in (on.instance.report_run_failed, on.instance.report_run_canceled):
        run = dg.DagsterRun("verify", status=dg.DagsterRunStatus.STARTED)
        on.instance.add_run(run)
        report(run, "The process of this run is gone")
    on.tick()
    (text,) = on.receiver.texts
    assert text == "The run verify failed. The run: The process of this run is gone"
    assert "What to do: wmtp verify --deep" in on.whole()


def test_what_is_not_accepted_is_tried_again_and_sent_once(on: World) -> None:
    on.receiver.replies = [Reply(500), Reply(429, {"Retry-After": "1800"})]
    on.found = "spoiled"
    on.run()
    said = on.tick()
    assert "HTTP 500" in said
    assert "tried again in 60 s (1 of 6 tries)" in said
    assert "The next try is in" in on.tick()
    assert len(on.receiver.posted) == 1
    on.wait()
    assert "tried again in 1800 s (2 of 6 tries)" in on.tick()
    on.wait()
    assert "1 sent" in on.tick()
    assert on.tick() == "Nothing new failed."
    assert len(set(on.receiver.posted)) == 1
    assert len(on.receiver.posted) == 3


def test_after_six_tries_it_is_given_up_which_the_log_and_the_run_say(
    on: World, caplog: pytest.LogCaptureFixture
) -> None:
    on.receiver.replies = [Reply(503)] * 6
    on.found, on.blocking = "spoiled", False
    run_id = on.run()
    for _ in range(5):
        assert "tried again" in on.tick()
        on.wait()
    with caplog.at_level(logging.ERROR):
        assert on.tick() == "Nothing new failed."
    assert len(on.receiver.posted) == 6
    logged = [record.getMessage() for record in caplog.records if "Nobody" in record.getMessage()]
    assert len(logged) == 1
    assert "1 check of severity warning failed" in logged[0]
    assert "HTTP 503" in logged[0]
    assert leaks(SECRET, logged) == []
    events = on.instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    assert any("Nobody was notified" in event.message for event in events)
    # It was not sent, so it is not known: the same warning is news.
    on.run()
    assert "1 sent" in on.tick()


def test_a_message_that_is_refused_itself_holds_up_no_other(
    on: World, caplog: pytest.LogCaptureFixture
) -> None:
    on.receiver.replies = [Reply(400)]
    on.found = "spoiled"
    on.run()
    on.run()
    with caplog.at_level(logging.ERROR):
        assert "1 sent" in on.tick()
    assert len(on.receiver.posted) == 2
    assert "1 of 6 tries" in caplog.text


def test_many_messages_go_out_a_few_at_a_time_in_their_order(on: World) -> None:
    for number in range(7):
        on.gate(is_open=True)
        on.gate(is_open=False, found=f"reason {number}")
    assert "5 sent" in on.tick()
    assert "2 sent" in on.tick()
    found = [text.rpartition("; found ")[2] for text in on.receiver.texts]
    assert found == [f"reason {number}" for number in range(7)]


def test_a_crash_before_the_cursor_is_kept_sends_again_and_loses_nothing(on: World) -> None:
    on.found = "spoiled"
    on.run()
    before = on.cursor
    on.tick()
    on.cursor = before
    on.tick()
    assert len(on.receiver.posted) == 2


@pytest.mark.parametrize("cursor", ["[]", "{}", '{"started": 1000.0, "after": {}}', "\x00"])
def test_a_cursor_that_is_none_begins_now(world: World, cursor: str) -> None:
    world.gate(is_open=False)
    world.cursor = cursor
    assert "from now on" in world.tick()
    assert world.tick() == "Nothing new failed."
    world.gate(is_open=True)
    world.gate(is_open=False)
    assert "1 sent" in world.tick()


def test_without_a_webhook_nothing_is_kept_for_later(
    on: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = on.receiver.url
    monkeypatch.setenv("WMTP_WEBHOOK_URL", "")
    on.gate(is_open=False)
    assert "WMTP_WEBHOOK_URL is not set" in on.tick()
    monkeypatch.setenv("WMTP_WEBHOOK_URL", url)
    assert on.tick() == "Nothing new failed."
    # A wrong one is corrected, and what failed meanwhile is sent.
    monkeypatch.setenv("WMTP_WEBHOOK_URL", f"https://example.org/{SECRET}")
    monkeypatch.setenv("WMTP_WEBHOOK_KIND", "")
    on.gate(is_open=True)
    on.gate(is_open=False)
    said = on.tick()
    assert "the host example.org" in said
    assert leaks(SECRET, [said]) == []
    for name, value in on.receiver.environment().items():
        monkeypatch.setenv(name, value)
    assert "1 sent" in on.tick()


def test_the_pages_test_of_a_sensor_sends_nothing(on: World) -> None:
    on.gate(is_open=False)
    sensor = notification_sensor(on.project)
    context = dg.build_sensor_context(instance=on.instance, cursor=on.cursor)
    data = sensor.evaluate_tick(context)
    assert data.skip_message is not None
    assert "Nothing is sent by a test" in data.skip_message
    assert on.receiver.posted == []
    context = dg.build_sensor_context(
        instance=on.instance, cursor=on.cursor, last_sensor_start_time=on.switched_on
    )
    data = sensor.evaluate_tick(context)
    assert data.run_requests == []
    assert "1 sent" in str(data.skip_message)
    assert Place.read(data.cursor) != on.place


def test_no_tag_and_no_configuration_says_where_it_goes() -> None:
    """Neither is read: what a run's starter chooses is not in the sources."""
    folder = Path(notifications.__file__).parents[1]
    sources: Sequence[Path] = [Path(notifications.__file__), *folder.glob("notify/*.py")]
    for source in sources:
        text = source.read_text(encoding="utf-8")
        assert ".tags" not in text
        assert "run_config" not in text
        assert "op_config" not in text
