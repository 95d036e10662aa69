"""The gate as a check: red while it is closed."""

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import verdict_of_run
from wmtp_assets.orchestration.assets.readiness import KEY
from wmtp_assets.orchestration.gate_status import CHECK
from wmtp_assets.orchestration.resources import HubResource, StorageResource, project_of
from wmtp_assets.orchestration.scorecard import verdict_facts, verdict_line, verdict_on_page
from wmtp_assets.pages.report import keep_reports_true


def readiness_check(project: Project) -> dg.AssetChecksDefinition:
    """Red while the gate is closed; the verdict is recomputed from the files in each run."""

    @dg.asset_check(
        asset=KEY,
        name=CHECK,
        description="Every required condition is met, recomputed from the files on disk.",
        config_schema={},
        op_tags={"dagster/priority": "-3"},  # last: it shares what all others found
    )
    def gate_is_open(
        context: dg.AssetCheckExecutionContext,
        storage: dg.ResourceParam[StorageResource],
        hub: dg.ResourceParam[HubResource],
    ) -> dg.AssetCheckResult:
        used = project_of(project.catalog, storage, hub)
        verdict = verdict_of_run(used, context.run.run_id)
        keep_reports_true(used, verdict)
        return dg.AssetCheckResult(
            passed=verdict.open,
            severity=dg.AssetCheckSeverity.ERROR,
            description=verdict_line(verdict),
            metadata=verdict_facts(verdict_on_page(verdict, used.store.root)),
        )

    return gate_is_open
