"""A planted token is in nothing that a run of Dagster leaves behind or shows, whatever went wrong.

The runs are real, in an instance on the disk; afterwards every file of the instance and of the
storage, every event, and what the web server answers is searched for the token and its pieces.
What fetching alone says after each fault of the matrix is searched in `test_faults.py`.
"""

from __future__ import annotations

import gzip
import logging
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._serdes import serialize_value
from dagster_webserver.app import create_app_from_workspace_process_context
from starlette.testclient import TestClient

from wmtp_assets.catalog import Catalog
from wmtp_assets.cli import main
from wmtp_assets.definitions import build_defs
from wmtp_assets.sample import write_sample
from wmtp_assets_tests.hub.conftest import CANARY
from wmtp_assets_tests.hub.loopback import LoopbackHub
from wmtp_assets_tests.hub.secrets import leaking_files, leaks, traces
from wmtp_assets_tests.hub.upstreams import TOKENIZER, serve, write_catalog
from wmtp_assets_tests.hub.world import Fault, FaultKind
from wmtp_assets_tests.living import below, content

CHECKOUT = Path(__file__).parents[2]
RAW = dg.AssetKey(["models", "tokenizer_raw"])
SOURCE = dg.AssetKey(["hub", *TOKENIZER.split("/")])
ENTRIES = """
metadataEntries { label description
  ... on TextMetadataEntry { text } ... on UrlMetadataEntry { url }
  ... on PathMetadataEntry { path }
  ... on JsonMetadataEntry { jsonString } ... on MarkdownMetadataEntry { mdStr }
  ... on TableMetadataEntry { table { records } } }
"""
ERROR = "error { className message stack errorChain { error { message stack } } }"
PAGE = f"""
query Run($id: ID!) {{
  pipelineRunOrError(runId: $id) {{ ... on Run {{
    status runConfigYaml tags {{ key value }}
    eventConnection {{ events {{ __typename
      ... on MessageEvent {{ message level stepKey eventType }}
      ... on MaterializationEvent {{ description {ENTRIES} }}
      ... on ObservationEvent {{ description {ENTRIES} }}
      ... on ExecutionStepFailureEvent {{ {ERROR} failureMetadata {{ description {ENTRIES} }} }}
      ... on ExecutionStepUpForRetryEvent {{ {ERROR} }}
      ... on RunFailureEvent {{ {ERROR} }}
    }} }}
  }} }}
}}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster home as the checkout's; relative folders in it lie there."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(CHECKOUT / name, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with warnings.catch_warnings(), dg.DagsterInstance.from_config(str(home)) as instance:
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield instance


@pytest.fixture
def catalog(
    loopback: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Catalog]:
    """A catalog of one's own, of a gated repository whose gate is open to the canary."""
    write_sample(tmp_path / "hub")
    commits = serve(loopback.world, tmp_path / "hub", gated=[TOKENIZER])
    loopback.world.tokens[CANARY].add(TOKENIZER)
    monkeypatch.setenv("WMTP_CATALOG", str(tmp_path / "mine.yaml"))
    monkeypatch.setenv("WMTP_STORAGE", str(tmp_path / "storage"))
    monkeypatch.delenv("WMTP_HUB", raising=False)
    yield write_catalog(tmp_path / "mine.yaml", commits)
    shutil.rmtree(tmp_path / "hub")


def run(
    catalog: Catalog, storage: Path, instance: dg.DagsterInstance, *keys: dg.AssetKey
) -> dg.ExecuteInProcessResult:
    """Makes and observes some assets, with the console's log, as the command line does."""
    job = build_defs(catalog, None, storage).resolve_job_def("materialize_all")
    return job.get_subset(asset_selection=set(keys)).execute_in_process(
        instance=instance, raise_on_error=False, run_config={"loggers": {"console": {}}}
    )


def is_upstream(key: dg.AssetKey) -> bool:
    """Whether the asset speaks to the Hub: an observed repository, or files taken from one."""
    return key.path[0] == "hub" or key.path[-1].endswith("_raw")


def told_by_pages(instance: dg.DagsterInstance, run_ids: list[str]) -> Iterator[bytes]:
    """What the web server answers about runs: GraphQL, the logs, and the debug file."""
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as workspace:
        client = TestClient(create_app_from_workspace_process_context(workspace))
        for run_id in run_ids:
            question = {"query": PAGE, "variables": {"id": run_id}}
            answer = client.post("/graphql", json=question)
            assert "errors" not in answer.json(), answer.text
            assert answer.json()["data"]["pipelineRunOrError"]["eventConnection"]["events"]
            yield answer.content
            debug = client.get(f"/download_debug/{run_id}")
            assert debug.status_code == 200
            yield (
                gzip.decompress(debug.content)
                if debug.content[:2] == b"\x1f\x8b"
                else (debug.content)
            )
        yield client.get("/runs").content


def test_a_leak_is_seen_in_every_form_it_may_take() -> None:
    for name, piece in traces(CANARY).items():
        assert leaks(CANARY, [b"before " + piece + b" after"]), name
    assert not leaks(CANARY, ["hf_ and nothing more", b"canary"])


#: What goes wrong, where it strikes, and whether the run gets over it.
FAULTS: dict[str, tuple[FaultKind, int | None, bool]] = {
    "a good run that meets a busy host and a broken line": ("503", 1, True),
    "a gate that is shut, and an upstream that quotes the token": ("403 gated", None, False),
    "a token that is refused": ("401", None, False),
    "bytes that are wrong": ("flip", None, False),
}


@pytest.mark.slow
def test_a_planted_token_is_in_nothing_that_runs_leave_or_show(
    catalog: Catalog,
    loopback: LoopbackHub,
    instance: dg.DagsterInstance,
    home: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    run_ids = []
    doctor = dg.AssetKey("doctor")
    graph = build_defs(catalog, None, tmp_path).resolve_asset_graph()
    fetching = [doctor, *(key for key in graph.get_all_asset_keys() if is_upstream(key))]
    for number, (name, (kind, times, succeeds)) in enumerate(FAULTS.items()):
        loopback.world.faults["tokenizer.model"] = Fault(kind, times)
        keys = fetching if number == 0 else [RAW, SOURCE]
        result = run(catalog, tmp_path / f"storage-{number}", instance, *keys)
        assert result.success is succeeds, name
        run_ids.append(result.run_id)
    loopback.world.faults["tokenizer.model"] = Fault("403 gated")
    result = run(catalog, tmp_path / "storage-doctor", instance, doctor)
    assert not result.success
    run_ids.append(result.run_id)

    events = [serialize_value(entry) for run_id in run_ids for entry in instance.all_logs(run_id)]
    assert any("has not been let in" in event for event in events), "the gate's answer is told"
    assert any("trying again" in event for event in events), "and what was got over"
    pages = list(told_by_pages(instance, run_ids))
    assert any(b"has not been let in" in page for page in pages)
    captured = capfd.readouterr()
    records = [f"{record.getMessage()} {record.__dict__}" for record in caplog.records]
    records += [captured.out, captured.err]
    assert any("made models/tokenizer_raw" in text for text in records)

    assert leaks(CANARY, events) == []
    assert leaks(CANARY, records) == []
    assert leaks(CANARY, pages) == []
    logs = [path for path in below(home / ".dagster/logs") if content(path)]
    assert logs, "the steps' own output is on the disk"
    assert leaking_files(CANARY, tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["doctor"], 1), (["doctor", "--json"], 1), (["mirror", "mirror"], 2)],
)
def test_a_planted_token_is_not_in_what_a_refused_command_says(
    catalog: Catalog,
    loopback: LoopbackHub,
    home: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
) -> None:
    loopback.world.faults["tokenizer.model"] = Fault("403 gated")
    assert main(arguments) == status
    said = capfd.readouterr()
    assert "has not been let in" in said.out + said.err
    assert leaks(CANARY, [said.out, said.err]) == []
    assert leaking_files(CANARY, tmp_path) == []


@pytest.mark.slow
def test_a_planted_token_is_not_in_what_a_failed_run_says_on_a_terminal(
    catalog: Catalog, loopback: LoopbackHub, home: Path, tmp_path: Path
) -> None:
    loopback.world.faults["tokenizer.model"] = Fault("403 gated")
    done = subprocess.run(
        [Path(sys.executable).with_name("wmtp"), "materialize", "models/tokenizer_raw"],
        cwd=home,
        env=dict(os.environ),
        capture_output=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 2, said.decode()
    assert b"has not been let in" in said
    assert leaks(CANARY, [said]) == []
    assert leaking_files(CANARY, tmp_path) == []
