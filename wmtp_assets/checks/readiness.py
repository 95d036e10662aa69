"""The gate as a check: red while it is closed."""

import dagster as dg

from wmtp_assets.assets.readiness import KEY, conditions_table
from wmtp_assets.gate import evaluate, write_report
from wmtp_assets.project import Project


def readiness_check(project: Project) -> dg.AssetChecksDefinition:
    """Evaluates the gate anew from the files, and writes its report."""

    @dg.asset_check(
        asset=KEY,
        name="gate_is_open",
        description="Every required condition is met, recomputed from the files on disk.",
    )
    def gate_is_open() -> dg.AssetCheckResult:
        verdict = evaluate(project)
        write_report(project, verdict)
        unmet = [c.name for c in verdict.conditions if c.required and not c.met]
        return dg.AssetCheckResult(
            passed=verdict.open,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={
                "expected": "every required condition met",
                "found": f"not met: {', '.join(unmet)}"
                if unmet
                else "every required condition met",
                "conditions": conditions_table(verdict),
            },
        )

    return gate_is_open
