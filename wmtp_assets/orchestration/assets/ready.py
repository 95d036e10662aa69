"""gate/<name>_ready: whether everything of one model or dataset is there and sound.

Between the artifacts and the gate, which so depends on one asset per model and dataset. Each shows
one of the gate's conditions; what it was computed from is computed once per run, for all of them.
"""

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import Condition, condition_of_run, owners_of, required_artifacts
from wmtp_assets.orchestration.assets.common import FOLLOW, OWNERS, key_of, tags_of
from wmtp_assets.orchestration.resources import HubResource, StorageResource, project_of
from wmtp_assets.orchestration.scorecard import (
    ANSWER,
    condition_facts,
    condition_on_page,
    readiness,
)
from wmtp_assets.pages.card import ready_card
from wmtp_assets.storage.digests import digest_of


def ready_key(owner: str) -> dg.AssetKey:
    """The key of the asset that says whether a model or dataset is ready."""
    return key_of(f"gate/{owner}_ready")


def ready_keys(project: Project) -> dict[dg.AssetKey, frozenset[str]]:
    """The key of each of these assets, with the names of the artifacts that it looks at."""
    return {
        ready_key(owner): frozenset(a.name for a in required_artifacts(project) if a.owner == owner)
        for owner in owners_of(project)
    }


def ready_assets(project: Project) -> list[dg.AssetsDefinition]:
    """One asset for each model and dataset of which something is required."""
    return [_ready_asset(project, owner) for owner in owners_of(project)]


def _ready_asset(project: Project, owner: str) -> dg.AssetsDefinition:
    key = ready_key(owner)
    names = ready_keys(project)[key]

    @dg.asset(
        key=key,
        deps=[key_of(name) for name in project.artifacts if name in names],
        group_name="gate",
        kinds={"json"},
        owners=OWNERS,
        description=ready_card(project, owner).markdown(),
        tags=tags_of(project.catalog),
        code_version="1",
        config_schema={},
        automation_condition=FOLLOW,
    )
    def asset(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[StorageResource],
        hub: dg.ResourceParam[HubResource],
    ) -> dg.MaterializeResult[None]:
        used = project_of(project.catalog, storage, hub)
        condition = condition_of_run(used, owner, context.run.run_id)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(_version(used, condition, names)),
            metadata={
                ANSWER: dg.MetadataValue.md(readiness(condition, names)),
                **condition_facts(condition_on_page(condition, used.store.root)),
            },
        )

    return asset


def _version(project: Project, condition: Condition, names: frozenset[str]) -> str:
    """Another one whenever an artifact is another, so that the gate is asked again."""
    digests = {}
    for name in sorted(names):
        receipt = project.store.current(name) if condition.met else None
        digests[name] = receipt.digest if receipt is not None else ""
    return digest_of([condition.met, [str(reason) for reason in condition.reasons], digests])
