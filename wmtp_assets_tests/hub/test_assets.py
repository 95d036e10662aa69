"""The assets that speak to the Hub, made through Dagster: what their pages show."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from wmtp_assets.definitions import build_defs
from wmtp_assets.pages.text import size as in_words
from wmtp_assets.sample import write_sample
from wmtp_assets_tests.hub.conftest import CANARY
from wmtp_assets_tests.hub.loopback import LoopbackHub
from wmtp_assets_tests.hub.upstreams import TOKENIZER, serve, write_catalog
from wmtp_assets_tests.hub.world import Fault

RAW, DOCTOR = dg.AssetKey(["models", "tokenizer_raw"]), dg.AssetKey("doctor")


class Bench:
    """A catalog of one gated model on the loopback Hub, and an instance to make it in."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, commits: dict[str, str]) -> None:
        self.folder, self.instance, self.commits = folder, instance, commits

    def make(self, key: dg.AssetKey, revision: str | None = None) -> dg.ExecuteInProcessResult:
        revisions = self.commits | ({TOKENIZER: revision} if revision else {})
        catalog = write_catalog(self.folder / "mine.yaml", revisions, commits_only=True)
        defs = build_defs(catalog, None, self.folder / "storage")
        job = defs.resolve_job_def("materialize_all").get_subset(asset_selection={key})
        return job.execute_in_process(instance=self.instance, raise_on_error=False)


@pytest.fixture
def bench(tmp_path: Path, loopback: LoopbackHub) -> Iterator[Bench]:
    write_sample(tmp_path / "hub")
    commits = serve(loopback.world, tmp_path / "hub", gated=[TOKENIZER])
    loopback.world.tokens[CANARY].add(TOKENIZER)
    with warnings.catch_warnings(), dg.DagsterInstance.ephemeral() as instance:
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield Bench(tmp_path, instance, commits)


def shown(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """The metadata of the one materialization, by label."""
    (event,) = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    return {label: value.value for label, value in metadata.items()}


def failure(result: dg.ExecuteInProcessResult) -> str:
    """What the one failed step says; it must not have been tried again."""
    assert not result.success
    assert [e for e in result.all_events if e.event_type_value == "STEP_UP_FOR_RETRY"] == []
    (event,) = result.get_step_failure_events()
    error = event.step_failure_data.error
    assert error is not None
    data = event.step_failure_data.user_failure_data
    return f"{data.description if data else ''} {(error.cause or error).message}"


def test_the_doctors_page_shows_each_fact_beside_what_was_expected(bench: Bench) -> None:
    facts = shown(bench.make(DOCTOR))["facts"]
    every = [(str(record.data["what"]), str(record.data["found"])) for record in facts.records]
    rows = dict(every)
    assert {"python", "packages", "disk", "memory", "token", "webhook"} <= rows.keys()
    assert re.fullmatch(r"3\.\d+\.\d+; needed: 3.11 or newer", rows["python"])
    assert re.fullmatch(r"[\d.]+ [GTM]B free; needed: [\d.]+ \w+", rows["disk"])
    asked = [found for what, found in every if what == "repository"]
    assert any(found.startswith(f"{TOKENIZER}: open, 3 files, ") for found in asked), asked
    for _, found in every:
        assert not re.search(r"(^|[^\w])/", found), "no place on this machine"
        assert "…" not in found
        assert max(map(len, found.split(" "))) <= 34, "cut at the right in a window of 1,280 pixels"


def test_the_doctor_fails_a_run_once_with_the_page_to_open(
    bench: Bench, loopback: LoopbackHub
) -> None:
    loopback.world.tokens[CANARY].clear()
    said = failure(bench.make(DOCTOR))
    assert "has not been let in" in said
    assert f"{loopback.endpoint}/{TOKENIZER}" in said
    said = failure(bench.make(DOCTOR, "main"))
    assert f"{TOKENIZER} is at main, which moves" in said
    assert loopback.world.bodies("tokenizer.model") == []


def test_what_was_fetched_shows_bytes_seconds_interruptions_and_the_commit(
    bench: Bench, loopback: LoopbackHub
) -> None:
    size = loopback.world.files("model", TOKENIZER)["tokenizer.model"].size
    loopback.world.faults["tokenizer.model"] = Fault("reset", times=1, at=size // 2)
    found = shown(bench.make(RAW))
    assert found["fetched_bytes"] == size
    assert found["retries"] == 1
    # Within one call nothing was left by an earlier one.
    assert found["fetching"] == f"{in_words(size)} fetched; interrupted once"
    assert 0 < found["seconds"] < 3600
    assert found["commit"] == bench.commits[TOKENIZER][:12]


def test_a_branch_is_refused_by_the_asset_itself_and_not_tried_again(
    bench: Bench, loopback: LoopbackHub
) -> None:
    assert f"wmtp pin {TOKENIZER} main" in failure(bench.make(RAW, "main"))
    assert loopback.world.seen == []


def test_a_shut_gate_is_not_tried_again(bench: Bench, loopback: LoopbackHub) -> None:
    loopback.world.tokens[CANARY].clear()
    assert "accept the licence" in failure(bench.make(RAW))
