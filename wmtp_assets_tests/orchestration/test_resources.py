"""The resources: what the page shows of them is what assets, IO manager and checks use."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import load_catalog
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.orchestration.assets.readiness import KEY as READINESS
from wmtp_assets.orchestration.build import build_defs
from wmtp_assets.orchestration.resources import HubResource, StorageResource


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield


def test_the_page_shows_storage_and_source_and_a_run_configures_neither(tmp_path: Path) -> None:
    defs = build_defs(load_catalog("sample"), str(tmp_path / "hub"), tmp_path / "storage")
    resources = defs.get_repository_def().get_top_level_resources()
    assert str(tmp_path / "storage") in str(resources["storage"].description)
    assert str(tmp_path / "hub") in str(resources["hub"].description)
    assert {"storage", "hub", "artifact_io", "io_manager"} == set(resources)
    for resource in resources.values():
        assert not resource.config_schema.config_type.fields  # type: ignore[attr-defined]


def test_assets_io_manager_and_checks_work_where_the_resources_say(
    tmp_path: Path, sample: Path
) -> None:
    """With others in place of those of the definitions, nothing of the first is touched."""
    catalog = load_catalog("sample")
    shown, used = tmp_path / "shown", tmp_path / "used"
    defs = build_defs(catalog, str(tmp_path / "no hub"), shown)
    names = ["models/tokenizer_raw", "models/tokenizer"]
    job = defs.resolve_job_def("materialize_all").get_subset(
        asset_selection={key_of(name) for name in names},
        asset_check_selection={
            key
            for key in defs.resolve_asset_graph().asset_check_keys
            if key.asset_key in {*map(key_of, names), READINESS}
        },
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            instance=instance,
            resources={
                "storage": StorageResource(used),
                "hub": HubResource(str(sample / "hub")),
            },
        )
    assert result.success
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert len(checks) > 6
    failed = {name for name, check in checks.items() if not check.passed}
    assert failed == {"gate_is_open"}, "verified where the artifacts are"
    assert (used / "phase2_readiness.json").is_file()
    store = Project(catalog, used).store
    assert all(store.current(name) is not None for name in names)
    assert not shown.exists()
    metadata = {
        event.asset_key: event.materialization.metadata
        for event in result.get_asset_materialization_events()
    }
    for name in names:
        receipt = store.current(name)
        assert receipt is not None
        assert metadata[key_of(name)]["digest"].value == receipt.digest[:12]
