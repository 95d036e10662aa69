"""The checks of artifacts as Dagster's asset checks: one step per asset, one check per `Check`.

What is checked, and how, is defined in `artifacts/checks/`; here it is only run and shown.
"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import checks_of, run_checks
from wmtp_assets.artifacts.kinds import kind_of
from wmtp_assets.artifacts.staleness import with_ancestors
from wmtp_assets.artifacts.verification import findings_of_run, start
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import Finding
from wmtp_assets.orchestration import whole_findings
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.orchestration.presentation import (
    WHAT_TO_DO,
    difficulties_picture,
    metadata_value,
    on_page,
    plain_markdown,
)
from wmtp_assets.orchestration.resources import HubResource, StorageResource, project_of

# What can be made goes first; meanwhile, what was made is verified in the background. What is made
# from an artifact waits for its checks: those that take long come after those that do not.
_LATER, _LAST = {"dagster/priority": "-1"}, {"dagster/priority": "-2"}


def artifact_checks(project: Project) -> list[dg.AssetChecksDefinition]:
    """The checks of every artifact of the catalog."""
    return [_checks(project, artifact) for artifact in project.artifacts.values()]


def _checks(project: Project, artifact: Artifact) -> dg.AssetChecksDefinition:
    key = key_of(artifact.name)
    every = checks_of(project, artifact)

    @dg.multi_asset_check(
        # One step per asset: starting one costs more than most of its checks.
        name=_step(artifact),
        specs=[
            dg.AssetCheckSpec(
                check.name, asset=key, description=check.description, blocking=check.blocking
            )
            for check in every
        ],
        can_subset=True,
        op_tags=_LAST if kind_of(artifact).long_checks else _LATER,
    )
    def checks(
        context: dg.AssetCheckExecutionContext,
        storage: dg.ResourceParam[StorageResource],
        hub: dg.ResourceParam[HubResource],
    ) -> Iterator[dg.AssetCheckResult]:
        used = project_of(project.catalog, storage, hub)
        selected = {check.name for check in context.selected_asset_check_keys}
        if len(selected) < len(every):
            findings = run_checks(used, artifact, only=selected)
        else:
            start(used, _ready(context, used), context.run.run_id)
            findings = findings_of_run(used, artifact, context.run.run_id, context.log.info)
        whole_findings.keep(context.run.run_id, artifact.name, findings)
        for finding in findings:
            yield shown(key, finding, used.store.root)

    return checks


def _step(artifact: Artifact) -> str:
    return f"{key_of(artifact.name).to_python_identifier()}_checks"


def _ready(context: dg.AssetCheckExecutionContext, project: Project) -> list[Artifact]:
    """The artifacts whose checks this run executes and that it makes neither themselves nor what
    they are made from: they are as they will be at its end."""
    steps = {node.name for node in context.job_def.nodes}
    made = {name for name in project.artifacts if key_of(name).to_python_identifier() in steps}
    return [
        artifact
        for artifact in project.artifacts.values()
        if _step(artifact) in steps and made.isdisjoint(with_ancestors(project, [artifact.name]))
    ]


def shown(key: dg.AssetKey, finding: Finding, root: Path | None = None) -> dg.AssetCheckResult:
    """A finding as a check's result: in a sentence, and the expected beside the found. Digests are
    short and paths below `root`, the storage's, relative, but for those of a command to copy."""

    def text(value: str) -> str:
        return str(on_page(root, value))

    picture = difficulties_picture(finding.details.get("histogram"))
    severity = dg.AssetCheckSeverity.ERROR if finding.blocking else dg.AssetCheckSeverity.WARN
    hint = "" if finding.passed else finding.hint
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=finding.name,
        passed=finding.passed,
        severity=severity,
        description=plain_markdown(text(finding.sentence)),
        metadata={
            "expected": metadata_value(on_page(root, finding.expected)),
            "found": metadata_value(on_page(root, finding.found)),
            **({WHAT_TO_DO: dg.MetadataValue.text(hint)} if hint else {}),
            **({"difficulties": picture} if picture else {}),
            "where": dg.MetadataValue.text(text(finding.where)),
            **{
                name: metadata_value(on_page(root, value))
                for name, value in finding.details.items()
            },
        },
    )
