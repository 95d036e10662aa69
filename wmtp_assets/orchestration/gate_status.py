"""The gate on the page while its inputs fail: red until it is asked again.

A run that makes or checks one artifact does not ask the gate, which would verify all others, and a
run that fails before the gate never gets there. Its last answer was about other files.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import Verdict
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.orchestration.assets.readiness import KEY as READINESS
from wmtp_assets.orchestration.assets.readiness import conditions_table
from wmtp_assets.orchestration.home import open_instance
from wmtp_assets.orchestration.presentation import WHAT_TO_DO

CHECK = "gate_is_open"
EVERY_CONDITION = "every required condition met"


def shown_of(verdict: Verdict) -> dict[str, Any]:
    """What the gate's check shows of a verdict: the expected beside the found, and what to do."""
    unmet = [one.name for one in verdict.conditions if one.required and not one.met]
    hints = {
        reason.hint: None
        for condition in verdict.conditions
        if condition.required
        for reason in condition.reasons
    }
    return {
        "expected": EVERY_CONDITION,
        "found": f"not met: {', '.join(unmet)}" if unmet else EVERY_CONDITION,
        "conditions": conditions_table(verdict),
        **({WHAT_TO_DO: "\n".join(hints)} if hints else {}),
    }


def show_verdict(verdict: Verdict) -> None:
    """Shows on the page, as the gate's check, a verdict that was reached outside of a run.

    In the home that was entered. Raises HomeError.
    """
    with open_instance() as instance:
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=READINESS,
                check_name=CHECK,
                passed=verdict.open,
                severity=dg.AssetCheckSeverity.ERROR,
                metadata=shown_of(verdict),
            )
        )


class GateWatch:
    """What one run says of the gate's inputs, from its events."""

    def __init__(self, project: Project) -> None:
        self._required = {
            artifact.name
            for artifact in project.artifacts.values()
            if artifact.status == "required"
        }
        self._steps = {key_of(name).to_python_identifier(): name for name in self._required}
        self._failed: dict[str, str] = {}
        self._asked = False

    def see(self, event: dg.DagsterEvent) -> None:
        """Notes a blocking check that failed, an artifact that was not made, and the gate's own."""
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            name = check.asset_key.to_user_string()
            if check.asset_key == READINESS:
                self._asked = True
            elif name in self._required and _is_wrong(check):
                self._failed.setdefault(name, f"{check.check_name} failed")
        elif event.event_type is dg.DagsterEventType.STEP_FAILURE:
            step = self._steps.get(event.step_key or "")
            if step is not None:
                self._failed.setdefault(step, "was not made")

    def report(self, instance: dg.DagsterInstance) -> None:
        """Shows the gate's check as failed where an input failed and the run did not ask it."""
        if not self._failed or self._asked:
            return
        found = "; ".join(f"{name}: {why}" for name, why in sorted(self._failed.items())[:5])
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=READINESS,
                check_name=CHECK,
                passed=False,
                severity=dg.AssetCheckSeverity.ERROR,
                metadata={
                    "expected": EVERY_CONDITION,
                    "found": f"{found} (the gate itself was not asked in that run)",
                    WHAT_TO_DO: "repair what failed, and execute this check again, or: wmtp gate",
                },
            )
        )


def _is_wrong(check: dg.AssetCheckEvaluation) -> bool:
    return not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
