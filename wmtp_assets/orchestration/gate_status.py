"""The gate on the page while its inputs fail: red until it is asked again.

A run that makes or checks one artifact does not ask the gate, which would verify all others, and a
run that fails before the gate never gets there. Its last answer was about other files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import Verdict
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.orchestration.assets.readiness import KEY as READINESS
from wmtp_assets.orchestration.assets.ready import ready_keys
from wmtp_assets.orchestration.home import open_instance
from wmtp_assets.orchestration.presentation import WHAT_TO_DO
from wmtp_assets.orchestration.scorecard import (
    EVERY_CHECK,
    EVERY_CONDITION,
    condition_facts,
    condition_line,
    verdict_facts,
    verdict_line,
    verdict_on_page,
)

CHECK = "gate_is_open"
READY_CHECK = "is_ready"


def show_verdict(project: Project, verdict: Verdict) -> None:
    """Shows on the page, as the checks of the gate and of what it depends on, a verdict that was
    reached outside of a run.

    In the home that was entered. Raises HomeError.
    """
    verdict = verdict_on_page(verdict, project.store.root)
    conditions = {one.name: one for one in verdict.conditions}
    with open_instance() as instance:
        for key in ready_keys(project):
            condition = conditions[key.path[-1]]
            line, facts = condition_line(condition), condition_facts(condition)
            _show(instance, key, READY_CHECK, condition.met, facts, line)
        line, facts = verdict_line(verdict), verdict_facts(verdict)
        _show(instance, READINESS, CHECK, verdict.open, facts, line)


def _show(
    instance: dg.DagsterInstance,
    key: dg.AssetKey,
    check: str,
    passed: bool,
    metadata: Mapping[str, Any],
    description: str | None = None,
) -> None:
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=key,
            check_name=check,
            passed=passed,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata=metadata,
            description=description,
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
        self._ready = ready_keys(project)
        self._failed: dict[str, str] = {}
        self._asked: set[dg.AssetKey] = set()

    def see(self, event: dg.DagsterEvent) -> None:
        """Notes a blocking check that failed, an artifact that was not made, and the gate's own."""
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            name = check.asset_key.to_user_string()
            if check.asset_key == READINESS or check.asset_key in self._ready:
                self._asked.add(check.asset_key)
            elif name in self._required and _is_wrong(check):
                self._failed.setdefault(name, f"{check.check_name} failed")
        elif event.event_type is dg.DagsterEventType.STEP_FAILURE:
            step = self._steps.get(event.step_key or "")
            if step is not None:
                self._failed.setdefault(step, "was not made")

    def report(self, instance: dg.DagsterInstance) -> None:
        """Shows the checks of the gate, and of the models and datasets that it depends on, as
        failed where an input failed and the run did not ask them."""
        if not self._failed:
            return
        for key, names in self._ready.items():
            self._report(instance, key, READY_CHECK, EVERY_CHECK, names)
        self._report(instance, READINESS, CHECK, EVERY_CONDITION, self._required)

    def _report(
        self,
        instance: dg.DagsterInstance,
        key: dg.AssetKey,
        check: str,
        expected: str,
        inputs: Collection[str],
    ) -> None:
        failed = [f"{name}: {why}" for name, why in sorted(self._failed.items()) if name in inputs]
        if not failed or key in self._asked:
            return
        found = f"{'; '.join(failed[:5])} (this check itself was not executed in that run)"
        again = "repair what failed, and execute this check again, or: wmtp gate"
        facts = {"expected": expected, "found": found, WHAT_TO_DO: again}
        _show(instance, key, check, passed=False, metadata=facts)


def _is_wrong(check: dg.AssetCheckEvaluation) -> bool:
    return not check.passed and check.severity is dg.AssetCheckSeverity.ERROR
