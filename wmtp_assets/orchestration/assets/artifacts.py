"""The artifacts as assets: one asset per artifact, all of one form.

What an artifact is made from is in `catalog/artifacts.py`, how it is made in the table of kinds.
"""

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import checks_of
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.artifacts.making import Outcome, make_artifact
from wmtp_assets.artifacts.requests import ON_REQUEST
from wmtp_assets.artifacts.types import Handle
from wmtp_assets.artifacts.upstream_files import UpstreamFiles
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import short_digests
from wmtp_assets.orchestration.assets.common import (
    FOLLOW,
    OPTIONS,
    OWNERS,
    WEEKLY,
    code_version,
    key_of,
    no_retry,
    tags_of,
)
from wmtp_assets.orchestration.assets.doctor import KEY as DOCTOR
from wmtp_assets.orchestration.assets.sources import repository_key
from wmtp_assets.orchestration.io_manager import KEY as IO_MANAGER
from wmtp_assets.orchestration.last_checks import failed_last
from wmtp_assets.orchestration.presentation import column_schema
from wmtp_assets.orchestration.resources import HubResource, StorageResource, project_of
from wmtp_assets.pages.card import card_of

# A reset line or a busy server is tried again; what a person must resolve is not. Only fetching
# meets either: any other asset would fail the same way again, minutes later.
_RETRIES = dg.RetryPolicy(max_retries=3, delay=10, backoff=dg.Backoff.EXPONENTIAL)


def artifact_assets(project: Project) -> list[dg.AssetsDefinition]:
    """One asset for each artifact of the catalog."""
    return [artifact_asset(project, artifact) for artifact in project.artifacts.values()]


def artifact_asset(project: Project, artifact: Artifact) -> dg.AssetsDefinition:
    """The asset that makes `artifact`; inputs that its kind does not load are drawn all the same.

    Two runs of one Dagster instance make nothing of the same group at once: they would publish the
    same sets.
    """
    kind, catalog = kind_of(artifact), project.catalog
    loaded = kind.loads(artifact)
    key = key_of(artifact.name)
    checks = [dg.AssetCheckKey(key, one.name) for one in checks_of(project, artifact)]
    deps = [key_of(name) for name in artifact.inputs if name not in loaded]
    if artifact.is_fetched:
        deps += [repository_key(UpstreamFiles.of(artifact).repo), DOCTOR]

    @dg.asset(
        key=key,
        ins={
            key_of(name).to_python_identifier(): dg.AssetIn(
                key=key_of(name), dagster_type=kind_of(project.artifacts[name]).loaded_as
            )
            for name in loaded
        },
        deps=deps,
        io_manager_key=IO_MANAGER,
        group_name=artifact.group,
        pool=artifact.group,
        kinds={kind.icon},
        owners=OWNERS,
        description=card_of(project, artifact).markdown(),
        tags=tags_of(catalog),
        code_version=code_version(artifact),
        config_schema=OPTIONS,
        retry_policy=_RETRIES if artifact.is_fetched else None,
        automation_condition=None if artifact.on_request else FOLLOW,
        freshness_policy=WEEKLY if artifact.is_fetched else None,
        metadata=_metadata(project, artifact),
    )
    def asset(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[StorageResource],
        hub: dg.ResourceParam[HubResource],
        **inputs: Handle,
    ) -> dg.MaterializeResult[Outcome]:
        force = bool(context.op_execution_context.op_config["force"])
        with no_retry():
            outcome = make_artifact(
                project_of(catalog, storage, hub),
                artifact,
                inputs.values(),
                context.log,
                force=force,
                failed=lambda receipt: failed_last(context.instance, checks, receipt),
            )
        return dg.MaterializeResult(
            value=outcome, data_version=dg.DataVersion(outcome.receipt.digest)
        )

    return asset


def _metadata(project: Project, artifact: Artifact) -> Mapping[str, Any]:
    shown: dict[str, Any] = {"status": artifact.status}
    if artifact.on_request:
        shown["made"] = ON_REQUEST
    if artifact.settings:
        # One whole SHA-256 is wider than the page's column, and the whole table is cut off.
        shown["settings"] = json.loads(short_digests(json.dumps(artifact.settings)))
    schema = kind_of(artifact).row_schema
    if schema is not None:
        shown["dagster/column_schema"] = column_schema(schema(project.catalog, artifact))
    return shown
