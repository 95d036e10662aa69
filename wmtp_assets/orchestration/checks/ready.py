"""One model or dataset as a check: red while it is not ready."""

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import condition_of_run, owners_of
from wmtp_assets.orchestration.assets.ready import ready_key
from wmtp_assets.orchestration.gate_status import READY_CHECK
from wmtp_assets.orchestration.resources import HubResource, StorageResource, project_of
from wmtp_assets.orchestration.scorecard import condition_on_page, condition_result


def ready_checks(project: Project) -> list[dg.AssetChecksDefinition]:
    """The check of each `<name>_ready` asset.

    It does not block: the gate is asked all the same, and says everything that is wrong.
    """
    return [_ready_check(project, owner) for owner in owners_of(project)]


def _ready_check(project: Project, owner: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=ready_key(owner),
        name=READY_CHECK,
        description=f"Every file of {owner} exists and passes its blocking checks.",
        config_schema={},
        op_tags={"dagster/priority": "-3"},  # after the checks, whose findings it shares
    )
    def check(
        context: dg.AssetCheckExecutionContext,
        storage: dg.ResourceParam[StorageResource],
        hub: dg.ResourceParam[HubResource],
    ) -> dg.AssetCheckResult:
        used = project_of(project.catalog, storage, hub)
        condition = condition_of_run(used, owner, context.run.run_id)
        return condition_result(condition_on_page(condition, used.store.root))

    return check
