"""Storages for the tests of the frame: made through Dagster, as a user's are."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from pathlib import Path

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import Catalog, load_catalog
from wmtp_assets.definitions import build_defs
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.sample import write_sample


def both_generations() -> Catalog:
    """The sample's catalog, for both generations of the contract."""
    return load_catalog("sample").model_copy(
        update={"name": "both", "contract": ("phase1", "current")}
    )


def materialized(project: Project, names: Collection[str]) -> dg.ExecuteInProcessResult:
    """A run of Dagster that makes these artifacts and executes their checks; nothing is raised."""
    with warnings.catch_warnings(), dg.DagsterInstance.ephemeral() as instance:
        warnings.simplefilter("ignore", dg.BetaWarning)
        defs = build_defs(project.catalog, project.hub_spec, project.storage)
        keys = {key_of(name) for name in names}
        graph = defs.resolve_asset_graph()
        job = defs.resolve_job_def("materialize_all").get_subset(
            asset_selection=keys,
            asset_check_selection={k for k in graph.asset_check_keys if k.asset_key in keys},
        )
        return job.execute_in_process(instance=instance, raise_on_error=False)


def made_anew(folder: Path) -> dict[str, object]:
    """Writes the sample to `folder`/hub and makes all of it in `folder`/storage."""
    write_sample(folder / "hub")
    defs = build_defs(load_catalog("sample"), str(folder / "hub"), folder / "storage")
    with warnings.catch_warnings(), dg.DagsterInstance.ephemeral() as instance:
        warnings.simplefilter("ignore", dg.BetaWarning)
        result = defs.resolve_job_def("materialize_all").execute_in_process(
            instance=instance, raise_on_error=False
        )
    return {
        "success": result.success,
        "made": sorted(
            event.asset_key.to_user_string()
            for event in result.get_asset_materialization_events()
            if event.asset_key is not None
        ),
        "checks": [
            {
                "asset": check.asset_key.to_user_string(),
                "name": check.check_name,
                "passed": check.passed,
                "severity": check.severity.value,
                "metadata": {name: str(value.value) for name, value in check.metadata.items()},
            }
            for check in result.get_asset_check_evaluations()
        ],
    }
