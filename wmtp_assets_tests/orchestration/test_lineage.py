"""Lineage that is told to others: OpenLineage's events, received on loopback."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openlineage.client.serde import Serde
from openlineage.client.transport.http import HttpConfig

from wmtp_assets.artifacts import Project
from wmtp_assets.cli import main
from wmtp_assets.orchestration import lineage
from wmtp_assets.orchestration.home import open_instance
from wmtp_assets.orchestration.lineage import events, tell_lineage, wanted
from wmtp_assets_tests.notify.receiver import Receiver, Reply, receiving
from wmtp_assets_tests.orchestration import tiny

SPLIT = "datasets/humaneval_test"
LOG = logging.getLogger("lineage")


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Receiver]:
    """A receiver that the environment names, with a key."""
    monkeypatch.chdir(tmp_path)
    with receiving() as one:
        monkeypatch.setenv("OPENLINEAGE_URL", one.url.partition("/services")[0])
        monkeypatch.setenv("OPENLINEAGE_API_KEY", "canary-of-the-key")
        # After five seconds, which a busy machine may let it wait, the client would send again.
        settings = HttpConfig.from_dict
        patient = {"timeout": 240.0}
        monkeypatch.setattr(HttpConfig, "from_dict", lambda given: settings({**given, **patient}))
        lineage._client.cache_clear()
        yield one
    lineage._client.cache_clear()


@pytest.mark.slow
def test_a_run_tells_what_was_read_and_written_by_version(
    project: Project, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = tiny.rows(project, tmp_path / "world")
    for name, value in world.variables.items():
        monkeypatch.setenv(name, value)
    assert main(["materialize", SPLIT, "--force"]) == 0
    with open_instance() as instance:
        (run,) = instance.get_runs()
    told = [receiver.value(index) for index in range(len(receiver.posted))]
    start, complete = (one for one in told if one["job"]["name"] == SPLIT)
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["eventTime"] < complete["eventTime"]
    assert start["run"] == complete["run"]
    assert complete["run"]["facets"]["parent"]["run"]["runId"] == run.run_id
    receipt = world.project.store.current(SPLIT)
    assert receipt is not None
    (written,) = complete["outputs"]
    assert (written["namespace"], written["name"]) == ("wmtp", SPLIT)
    assert written["facets"]["version"]["datasetVersion"] == receipt.digest
    assert written["outputFacets"]["outputStatistics"]["size"] == receipt.size
    read = {one["name"]: one["facets"]["version"]["datasetVersion"] for one in complete["inputs"]}
    assert read == receipt.inputs != {}
    assert receiver.headers[0]["authorization"] == "Bearer canary-of-the-key"


def test_nothing_is_told_unless_asked() -> None:
    assert not wanted({})
    assert not wanted({"OPENLINEAGE_URL": "", "OPENLINEAGE_API_KEY": "x"})
    assert all(wanted({name: "x"}) for name in lineage.WANTED_BY)


def test_a_receiver_that_refuses_fails_nothing_and_is_asked_once(
    project: Project, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receipt = project.store.current(SPLIT)
    assert receipt is not None
    receiver.replies.append(Reply(403))
    run = str(uuid.uuid4())
    for _ in range(3):
        tell_lineage(receipt, run, "materialize_all", LOG)
    assert len(receiver.posted) == 1
    (said,) = (record.getMessage() for record in caplog.records if record.name == LOG.name)
    assert SPLIT in said
    assert "canary" not in said
    assert receiver.url.partition("/services")[0] not in said
    tell_lineage(receipt, str(uuid.uuid4()), "materialize_all", LOG)  # the next run tries again
    assert len(receiver.posted) == 3


def test_a_client_that_is_missing_is_named(
    project: Project,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openlineage.client.event_v2", None)
    receipt = project.store.current(SPLIT)
    assert receipt is not None
    tell_lineage(receipt, str(uuid.uuid4()), "materialize_all", LOG)
    assert "pip install 'wmtp-assets[lineage]'" in caplog.text
    assert receiver.posted == []


@pytest.mark.parametrize("name", [SPLIT, "models/micro-mtp", "models/meta-llama-mtp_raw"])
def test_events_have_what_the_specification_requires(name: str, project: Project) -> None:
    receipt = project.store.current(name)
    assert receipt is not None
    made = events(receipt, str(uuid.uuid4()), "verify", datetime.now(UTC))
    for event in made:
        value: dict[str, Any] = json.loads(Serde.to_json(event))
        assert value.keys() >= {"eventTime", "producer", "schemaURL", "run", "job"}
        assert datetime.fromisoformat(value["eventTime"]).tzinfo is not None
        uuid.UUID(value["run"]["runId"])
        assert value["job"].keys() >= {"namespace", "name"}
        facets = [value["run"]["facets"]]
        facets += [one["facets"] for one in value["inputs"] + value["outputs"]]
        facets += [one["outputFacets"] for one in value["outputs"]]
        assert all(
            {"_producer", "_schemaURL"} <= facet.keys() for one in facets for facet in one.values()
        )
