"""phase2_readiness: the gate's report, as the last asset of the graph."""

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import verdict_of_run
from wmtp_assets.orchestration.assets.common import FOLLOW, OWNERS, WEEKLY, tags_of
from wmtp_assets.orchestration.assets.ready import ready_keys
from wmtp_assets.orchestration.resources import HubResource, StorageResource, project_of
from wmtp_assets.orchestration.scorecard import verdict_card, verdict_on_page
from wmtp_assets.pages.card import gate_card
from wmtp_assets.storage.digests import digest_of

KEY = dg.AssetKey("phase2_readiness")


def readiness_asset(project: Project) -> dg.AssetsDefinition:
    """The report on every required artifact; an optional one neither opens nor closes the gate.

    It depends on them through one asset per model and dataset (`ready.py`).
    """

    @dg.asset(
        key=KEY,
        deps=list(ready_keys(project)),
        group_name="gate",
        kinds={"json"},
        owners=OWNERS,
        description=gate_card(project).markdown(),
        tags=tags_of(project.catalog),
        code_version="2",
        config_schema={},
        automation_condition=FOLLOW,
        freshness_policy=WEEKLY,
    )
    def phase2_readiness(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[StorageResource],
        hub: dg.ResourceParam[HubResource],
    ) -> dg.MaterializeResult[None]:
        used = project_of(project.catalog, storage, hub)
        verdict = verdict_of_run(used, context.run.run_id)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(digest_of([verdict.open, verdict.to_json()["conditions"]])),
            metadata={
                **verdict_card(verdict_on_page(verdict, used.store.root)),
                "open": verdict.open,
                "code": verdict.code["wmtp-assets"],
                "report": dg.MetadataValue.text(used.report.name),
                "checks": verdict.checks,
            },
        )

    return phase2_readiness
