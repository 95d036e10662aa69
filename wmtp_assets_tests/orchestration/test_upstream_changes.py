"""What the weekly refresh does when upstream moves: nothing, showing it, or making it again.

Each step is what an operator's daemon would do: the schedule is asked for its run, and the run is
executed, against a Hub whose commits move underneath.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import torch

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import load_catalog
from wmtp_assets.cli import main
from wmtp_assets.definitions import build_defs
from wmtp_assets.sample import write_sample
from wmtp_assets_tests.hub.conftest import CANARY
from wmtp_assets_tests.hub.loopback import LoopbackHub
from wmtp_assets_tests.hub.upstreams import TOKENIZER, files_of, serve, write_catalog

WEIGHTS = "7B_1T_4/consolidated.pth"


class Upkeep:
    """A storage that the weekly refresh keeps, and the Hub that it comes from."""

    def __init__(self, folder: Path, loopback: LoopbackHub, hub: Path) -> None:
        self.loopback, self.hub = loopback, hub
        self.catalog, self.storage = folder / "mine.yaml", folder / "storage"
        self.commits = serve(loopback.world, hub, gated=[TOKENIZER])
        loopback.world.tokens[CANARY].add(TOKENIZER)
        write_catalog(self.catalog, self.commits, commits_only=True)

    @property
    def project(self) -> Project:
        return Project(load_catalog(self.catalog), self.storage)

    @property
    def defs(self) -> dg.Definitions:
        return build_defs(load_catalog(self.catalog), None, self.storage)

    def refresh(self, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
        """The run that the schedule asks for on a Monday, executed."""
        defs = self.defs
        schedule = defs.get_repository_def().get_schedule_def("weekly_refresh")
        monday = datetime(2026, 1, 5, 2, tzinfo=UTC)
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=monday)
        (request,) = schedule.evaluate_tick(context).run_requests or []
        result = defs.resolve_job_def(schedule.job_name).execute_in_process(
            instance=instance, run_config=request.run_config, tags=request.tags
        )
        assert result.success
        return result

    def commit(self, **changes: bytes) -> str:
        """A new commit upstream with some files changed (`README` for README.md)."""
        files = files_of(self.hub, TOKENIZER) | {
            {"README": "README.md", "weights": WEIGHTS}[name]: data
            for name, data in changes.items()
        }
        return self.loopback.world.commit("model", TOKENIZER, files, gated=True)

    def made(self) -> dict[str, int]:
        """How often each artifact was made so far."""
        return {
            name: receipt.sequence
            for name in self.project.artifacts
            if (receipt := self.project.store.current(name)) is not None
        }

    def fetched(self) -> int:
        """How many bytes of files the Hub has sent so far."""
        return sum(
            seen.sent
            for seen in self.loopback.world.seen
            if seen.method == "GET" and not seen.path.startswith("api/")
        )


@pytest.fixture
def upkeep(tmp_path: Path, loopback: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> Upkeep:
    monkeypatch.setenv("WMTP_STORAGE", str(tmp_path / "storage"))
    monkeypatch.setenv("WMTP_CATALOG", str(tmp_path / "mine.yaml"))
    monkeypatch.delenv("WMTP_HUB", raising=False)
    write_sample(tmp_path / "hub")
    return Upkeep(tmp_path, loopback, tmp_path / "hub")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with warnings.catch_warnings(), dg.DagsterInstance.ephemeral() as instance:
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield instance


def observation(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """What the run's observation of the repository shows, by label."""
    (event,) = [
        event
        for event in result.get_asset_observation_events()
        if event.asset_key == dg.AssetKey(["hub", *TOKENIZER.split("/")])
    ]
    metadata = event.asset_observation_data.asset_observation.metadata
    return {label: value.value for label, value in metadata.items()}


def with_another_value(weights: bytes) -> bytes:
    """The same checkpoint with one number of one tensor changed, as upstream might fix it."""
    tensors = torch.load(io.BytesIO(weights), weights_only=True)
    tensors["layers.0.attention.wq.weight"][0, 0] += 0.5
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue()


@pytest.mark.slow
def test_a_moved_readme_redoes_nothing_and_moved_weights_wait_for_the_pin(
    upkeep: Upkeep, instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    pinned = upkeep.commits[TOKENIZER]
    seen = observation(upkeep.refresh(instance))
    assert (seen["head"], seen["drift"]) == (pinned, "none: the pin is upstream's head")
    made, fetched = upkeep.made(), upkeep.fetched()
    assert set(made) == set(upkeep.project.artifacts)

    # Another README: seen, and nothing is redone.
    head = upkeep.commit(README=b"# better words\n")
    seen = observation(upkeep.refresh(instance))
    assert (seen["pinned_revision"], seen["head"]) == (pinned, head)
    assert seen["drift"] == "upstream has a newer commit; none of the files taken would change"
    assert "changed_files" not in seen
    assert (upkeep.made(), upkeep.fetched()) == (made, fetched)

    # Other weights: shown by digest, and still nothing is redone, by the refresh or the sensor.
    before = files_of(upkeep.hub, TOKENIZER)[WEIGHTS]
    head = upkeep.commit(weights=with_another_value(before))
    seen = observation(upkeep.refresh(instance))
    assert f"wmtp pin {TOKENIZER} {head}" in seen["drift"]
    (change,) = seen["changed_files"].records
    held = upkeep.project.catalog.upstream_models()["meta-llama-mtp"].files.weights[0].sha256
    now = upkeep.loopback.world.files("model", TOKENIZER)[WEIGHTS].sha256
    assert change.data == {"file": WEIGHTS, "pinned": held, "head": now}
    assert (upkeep.made(), upkeep.fetched()) == (made, fetched)
    ticked = dg.evaluate_automation_conditions(defs=upkeep.defs, instance=instance)
    assert ticked.total_requested == 0

    # A person moves the pin: the next refresh fetches that file alone, and what follows from it.
    assert main(["pin", TOKENIZER, head]) == 0
    assert f"sha256 of {WEIGHTS}: {held} -> {now}" in capsys.readouterr().out
    seen = observation(upkeep.refresh(instance))
    assert (seen["pinned_revision"], seen["head"]) == (head, head)
    again = {name for name, times in upkeep.made().items() if times > made[name]}
    assert again == {
        "models/tokenizer_raw",  # verified at its new commit; its bytes, and so the rest, are old
        "models/meta-llama-mtp_raw",
        "models/meta-llama-mtp",
        "models/meta-llama-mtp_certificate",
        "models/meta-llama-mtp_config",
        "models/meta-llama-mtp_adapter",
        "models/meta-llama-mtp_metadata",
        "models/meta-llama-mtp_card",
    }
    assert (
        upkeep.fetched() - fetched == upkeep.loopback.world.files("model", TOKENIZER)[WEIGHTS].size
    )
