"""What Dagster loads: which assets, jobs, schedules and sensors there are, and that they work."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import warnings
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
import yaml
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import load_catalog
from wmtp_assets.catalog.artifacts import artifacts_of
from wmtp_assets.definitions import build_defs
from wmtp_assets.orchestration.history import LOCATION
from wmtp_assets_tests.ports import reserved_port

ROOT = Path(__file__).parents[1]
MODELS = ["meta-llama-mtp", "ref-sheared-llama-2.7b", "starling-rm-7b", "micro-mtp", "micro-ref"]
SPLITS = [
    *(f"codecontests_{split}" for split in ("train", "valid", "test")),
    *(f"mbpp_{split}" for split in ("train", "validation", "test")),
    "humaneval_test",
]
READY = {
    f"gate/{owner}_ready"
    for owner in (*MODELS, "codecontests", "mbpp", "humaneval")
    if owner != "starling-rm-7b"  # optional: it closes no gate
}
SMALL = [f"codecontests_small_{split}" for split in ("train", "valid", "test")]


@pytest.fixture(scope="module", params=["sample", "full"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def defs(name: str, tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return build_defs(load_catalog(name), None, tmp_path_factory.mktemp(name))


def names_of(defs: dg.Definitions) -> set[str]:
    return {key.to_user_string() for key in defs.resolve_asset_graph().get_all_asset_keys()}


def test_both_catalogs_give_the_missions_assets(defs: dg.Definitions, name: str) -> None:
    names = names_of(defs)
    expected = {"doctor", "phase2_readiness", "report", "models/tokenizer", "models/tokenizer_raw"}
    for model in MODELS:
        parts = ["", "_config", "_certificate", "_metadata", "_card"]
        parts += ["_raw"] if not model.startswith("micro") else []
        parts += ["_adapter"] if model.endswith("mtp") else []
        expected |= {f"models/{model}{part}" for part in parts}
    for model, entry in load_catalog(name).upstream_models().items():
        expected |= {f"models/{model}_shards"} if entry.shard_bytes else set()
    expected |= {
        f"datasets/{split}{part}" for split in SPLITS for part in ("_raw", "", "_metadata")
    }
    expected |= {f"datasets/{split}{part}" for split in SMALL for part in ("", "_metadata")}
    expected |= READY
    for dataset in ("codecontests", "mbpp", "humaneval"):
        parts = ["_schema", "_card", "_quality_card"]
        expected |= {f"datasets/{dataset}{part}" for part in parts}
    expected |= {f"datasets/{split}_verdicts" for split in SPLITS}
    expected |= {f"datasets/{dataset}_train_leaks" for dataset in ("codecontests", "mbpp")}
    expected |= {"datasets/codecontests_train_duplicates"}
    hubs = {key for key in names if key.startswith("hub/")}
    assert names - hubs == expected
    assert len(hubs) == 6
    assert len([key for key in names if re.fullmatch(r"datasets/.*_metadata", key)]) == 10


def test_the_gate_depends_on_one_asset_per_model_and_dataset(
    defs: dg.Definitions, name: str
) -> None:
    graph = defs.resolve_asset_graph()
    gate = graph.get(dg.AssetKey("phase2_readiness"))
    assert {key.to_user_string() for key in gate.parent_keys} == READY
    required = {
        artifact.name
        for artifact in artifacts_of(load_catalog(name)).values()
        if artifact.status == "required"
    }
    looked_at: list[str] = []
    for key in gate.parent_keys:
        assert graph.get(key).group_name == "gate"
        looked_at += [parent.to_user_string() for parent in graph.get(key).parent_keys]
    assert sorted(looked_at) == sorted(required), "each by one of them"


def test_jobs_schedules_and_sensors_are_those_of_the_readme(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    jobs = {job.name for job in repository.get_all_jobs() if not job.name.startswith("__")}
    assert jobs == {"materialize_all", "refresh", "verify"}
    schedules = {one.name: one.cron_schedule for one in repository.schedule_defs}
    assert schedules == {"weekly_refresh": "0 2 * * 1", "daily_verify": "0 4 * * *"}
    assert {sensor.name for sensor in repository.sensor_defs} == {"follow_changes", "notify"}


def test_everything_that_runs_by_itself_ships_stopped(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    assert {s.default_status for s in repository.schedule_defs} == {
        dg.DefaultScheduleStatus.STOPPED
    }
    assert {s.default_status for s in repository.sensor_defs} == {dg.DefaultSensorStatus.STOPPED}


def test_every_asset_has_group_kinds_owner_description_and_code_version(
    defs: dg.Definitions,
) -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.group_name not in (None, "default"), key
        assert node.description, key
        assert node.kinds, key
        assert node.owners == ["team:wmtp"], key
        assert node.code_version or not node.is_materializable, key


def test_no_setting_is_wider_than_its_column(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        settings = str(graph.get(key).metadata.get("settings", ""))
        assert not re.search("[0-9a-f]{38}", settings), key


def test_schemas_show_the_columns_of_rows(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    shown = graph.get(dg.AssetKey(["datasets", "codecontests_schema"])).metadata
    columns = {one.name: one for one in shown["dagster/column_schema"].columns}
    assert columns["instruction"].type == "string"
    assert columns["is_correct"].type == "boolean"
    assert columns["metadata.difficulty"].type == "integer"
    # The panel of columns comes before a split's pictures, and would hide them.
    for name in (
        "datasets/humaneval_test",
        "datasets/codecontests_small_train",
        "models/tokenizer",
    ):
        shown = graph.get(dg.AssetKey(name.split("/"))).metadata
        assert "dagster/column_schema" not in shown
        assert "the rows" not in shown, "a link that a materialization has too"


def test_sources_show_their_address(defs: dg.Definitions, name: str, tmp_path: Path) -> None:
    graph = defs.resolve_asset_graph()
    project = Project(load_catalog(name), tmp_path)
    for wanted in project.upstream_files():
        folder = "datasets/" if wanted.repo.kind == "dataset" else ""
        shown = graph.get(dg.AssetKey(["hub", *wanted.repo.name.split("/")])).metadata
        address = f"hf://{folder}{wanted.repo.name}@{wanted.revision}"
        assert shown.get("dagster/uri") == (None if name == "sample" else address)


def test_each_group_is_a_pool_and_what_is_fetched_is_looked_at_weekly(
    defs: dg.Definitions,
) -> None:
    graph = defs.resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        if not node.is_materializable or node.group_name in ("hub", "gate"):
            continue
        assert definition_of(graph, key).op.pool == node.group_name, key
        fetched = key.to_user_string().endswith("_raw")
        assert (node.freshness_policy is not None) is fetched, key
    assert graph.get(dg.AssetKey("phase2_readiness")).freshness_policy is not None


def test_pools_hold_back_runs_and_never_steps() -> None:
    """A slot of a step that was killed is never given back; a run's ends with the run."""
    home = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    assert home["concurrency"]["pools"] == {"granularity": "run", "default_limit": 1}


def test_dg_and_dagster_load_the_location_that_the_page_serves() -> None:
    """pyproject.toml silently takes precedence over workspace.yaml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    dg_project = project["tool"]["dg"]["project"]
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))
    (entry,) = workspace["load_from"]
    assert entry == {
        "python_module": {
            "module_name": dg_project["code_location_target_module"],
            "location_name": dg_project["code_location_name"],
        }
    }
    assert entry["python_module"]["location_name"] == LOCATION
    assert "dagster" not in project["tool"], "a third place"


def test_only_what_fetches_is_tried_again(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()
    retried = {
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if graph.get(key).is_materializable and definition_of(graph, key).op.retry_policy
    }
    assert retried == {name for name in names_of(defs) if name.endswith("_raw")}


def definition_of(graph: AssetGraph, key: dg.AssetKey) -> dg.AssetsDefinition:
    return graph.get(key).assets_def


def test_the_schedules_ask_for_their_jobs(defs: dg.Definitions) -> None:
    repository = defs.get_repository_def()
    moment = datetime.fromisoformat("2030-01-07T02:00:00+00:00")
    for schedule in repository.schedule_defs:
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_schedule_context(instance, scheduled_execution_time=moment)
            data = schedule.evaluate_tick(context)
        (request,) = data.run_requests or []
        assert request.job_name in (None, schedule.job_name)
        assert repository.get_job(schedule.job_name).name in ("refresh", "verify")


def test_refresh_looks_at_upstream_and_verify_makes_nothing(defs: dg.Definitions) -> None:
    refresh, verify = defs.resolve_job_def("refresh"), defs.resolve_job_def("verify")
    seen = {key.to_user_string() for key in refresh.asset_layer.selected_asset_keys}
    assert {key for key in names_of(defs) if key.startswith("hub/")} <= seen
    assert verify.asset_layer.selected_asset_keys == set()
    assert verify.asset_layer.asset_graph.asset_check_keys == (
        defs.resolve_asset_graph().asset_check_keys
    )


class World:
    """The two smallest datasets of the sample under the sensor's eyes, in one Dagster instance."""

    selection = dg.AssetSelection.groups("tokenizer", "humaneval")

    def __init__(self, folder: Path, hub: Path, instance: dg.DagsterInstance) -> None:
        self.instance, self.hub = instance, hub
        self.defs = build_defs(load_catalog("sample"), str(hub), folder / "storage")
        self.keys = self.selection.resolve(self.defs.resolve_asset_graph())
        self.cursor = None

    def make(self, *names: str) -> None:
        keys = {dg.AssetKey(name.split("/")) for name in names} or self.keys
        graph = self.defs.resolve_asset_graph()
        result = (
            self.defs.resolve_job_def("materialize_all")
            .get_subset(
                asset_selection=keys,
                asset_check_selection={k for k in graph.asset_check_keys if k.asset_key in keys},
            )
            .execute_in_process(instance=self.instance)
        )
        assert result.success

    def requested(self) -> set[str]:
        """What one tick of the sensor would run."""
        result = dg.evaluate_automation_conditions(
            defs=self.defs,
            instance=self.instance,
            asset_selection=self.selection,
            cursor=self.cursor,
        )
        self.cursor = result.cursor
        return {key.to_user_string() for key in self.keys if result.get_num_requested(key)}


@pytest.fixture
def world(tmp_path: Path, sample: Path) -> Iterator[World]:
    hub = tmp_path / "hub"
    shutil.copytree(sample / "hub", hub)
    (hub / "assets.lock").unlink()  # so that a changed file is seen as one
    with warnings.catch_warnings(), dg.DagsterInstance.ephemeral() as instance:
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield World(tmp_path, hub, instance)


@pytest.mark.slow
def test_the_sensor_follows_changed_data_and_leaves_unchanged_data_alone(world: World) -> None:
    world.make()
    assert world.requested() == set()
    world.make("datasets/humaneval_test_raw")
    assert world.requested() == set(), "an unchanged data version set something going"
    # Upstream changes: the same rows in another compression are other bytes.
    (path,) = world.hub.rglob("openai_humaneval/test-*.parquet")
    table = pq.read_table(path)
    pq.write_table(table, path, compression="gzip")
    world.make("datasets/humaneval_test_raw")
    assert world.requested() == {
        "datasets/humaneval_test",
        "datasets/humaneval_test_metadata",
        "datasets/humaneval_schema",
        "datasets/humaneval_card",
        "datasets/humaneval_test_verdicts",
        "datasets/humaneval_quality_card",
    }


LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries {
  name locationOrLoadError { __typename } } } } assetNodes { id } }"""


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as port:
        yield port


@pytest.mark.slow
def test_dagsters_own_page_loads_the_workspace(tmp_path: Path, port: int) -> None:
    """`dagster dev` in a checkout."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    variables = {"HOME": tmp_path, "DAGSTER_HOME": tmp_path / "home", "WMTP_CATALOG": "sample"}
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    environment |= {name: str(value) for name, value in variables.items()}
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            ["dagster", "dev", "--port", str(port)],
            cwd=ROOT,
            env=environment | {"WMTP_STORAGE": str(tmp_path / "storage")},
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 240
        while (answer := asked(port)) is None:
            assert process.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < until, (tmp_path / "said").read_text()
            time.sleep(0.2)
        loaded = {"name": LOCATION, "locationOrLoadError": {"__typename": "RepositoryLocation"}}
        assert answer["workspaceOrError"]["locationEntries"] == [loaded]
        assert len(answer["assetNodes"]) > 90
    finally:
        # Not by SIGTERM: workers of tests may ignore it, and so does then what they start.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def asked(port: int) -> dict[str, Any] | None:
    """What the page of Dagster answers about its locations; None while one is loading, or nothing
    listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=240)
    with contextlib.closing(connection):
        try:
            kind = {"content-type": "application/json"}
            connection.request("POST", "/graphql", json.dumps({"query": LOCATIONS}), kind)
            answer = connection.getresponse().read()
        except ConnectionError:
            return None
    data: dict[str, Any] = json.loads(answer)["data"]
    entries = data["workspaceOrError"]["locationEntries"]
    return data if all(one["locationOrLoadError"] for one in entries) else None
