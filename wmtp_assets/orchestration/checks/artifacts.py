"""The proofs as Dagster checks: one definition an asset, one check a question.

Everything that is asked and answered is in `artifacts/checks/`; here it is only shown.
"""

from collections.abc import Iterator

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import checks_of, run_checks
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import Finding
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.orchestration.presentation import WHAT_TO_DO, difficulties_picture, metadata_value


def artifact_checks(project: Project) -> list[dg.AssetChecksDefinition]:
    """The checks of every artifact of the catalog."""
    return [_checks(project, artifact) for artifact in project.artifacts.values()]


def _checks(project: Project, artifact: Artifact) -> dg.AssetChecksDefinition:
    key = key_of(artifact.name)

    @dg.multi_asset_check(
        # One step an asset: starting one costs more than most of its questions.
        name=f"{key.to_python_identifier()}_checks",
        specs=[
            dg.AssetCheckSpec(
                check.name, asset=key, description=check.description, blocking=check.blocking
            )
            for check in checks_of(project, artifact)
        ],
        can_subset=True,
    )
    def checks(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        selected = {check.name for check in context.selected_asset_check_keys}
        for finding in run_checks(project, artifact):
            if finding.name in selected:
                yield shown(key, finding)

    return checks


def shown(key: dg.AssetKey, finding: Finding) -> dg.AssetCheckResult:
    """A finding as a check's result, the expected beside the found."""
    picture = difficulties_picture(finding.details)
    severity = dg.AssetCheckSeverity.ERROR if finding.blocking else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=finding.name,
        passed=finding.passed,
        severity=severity,
        metadata={
            "expected": metadata_value(finding.expected),
            "found": metadata_value(finding.found),
            "where": dg.MetadataValue.text(finding.where),
            **({WHAT_TO_DO: dg.MetadataValue.text(finding.hint)} if finding.hint else {}),
            **({"difficulties": picture} if picture else {}),
            **{name: metadata_value(value) for name, value in finding.details.items()},
        },
    )
