"""One run from the command line: only what is stale is made, and everything selected is proven.

The run goes into the same history that the page shows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from wmtp_assets.assets.doctor import KEY as DOCTOR
from wmtp_assets.assets.making import FORCED, key_of
from wmtp_assets.assets.readiness import KEY as READINESS
from wmtp_assets.automation.jobs import materialize_all
from wmtp_assets.errors import WmtpError
from wmtp_assets.project import Project
from wmtp_assets.project.staleness import stale_artifacts
from wmtp_assets.project.upstream import require_pins, taken_by


class SelectionError(WmtpError):
    """What was asked for names no asset."""


@dataclass(frozen=True)
class CheckResult:
    """One check as it came out."""

    asset: str
    name: str
    passed: bool
    blocking: bool
    expected: str
    found: str
    where: str


@dataclass(frozen=True)
class Run:
    """What a run made and found. `succeeded` is False when a step or a blocking check failed."""

    run_id: str
    succeeded: bool
    made: tuple[str, ...]
    checks: tuple[CheckResult, ...]
    failures: tuple[str, ...]


def home() -> Path:
    """The folder with dagster.yaml: DAGSTER_HOME, else the checkout that this package lies in."""
    given = os.environ.get("DAGSTER_HOME")
    checkout = Path(__file__).resolve().parents[2]
    if given:
        return Path(given)
    if not (checkout / "dagster.yaml").is_file():
        raise WmtpError(
            "Dagster has no home",
            expected="a folder with a dagster.yaml",
            mend="set DAGSTER_HOME to such a folder; the project's checkout has one.",
        )
    return checkout


def run(project: Project, selection: str | None, force: bool) -> Run:
    """Makes what is stale in `selection` (Dagster's syntax; None: all) and upstream of it.

    With `force` the selected assets themselves are made again, changed or not. Every selected
    asset's checks run either way. Raises SelectionError, and WmtpError when upstream is refused.
    """
    from wmtp_assets.definitions import build_defs

    os.environ["DAGSTER_HOME"] = str(home())
    # Relative folders in dagster.yaml are relative to the home.
    os.chdir(home())
    defs = build_defs(project.catalog, project.hub_spec, project.storage)
    selected = _selected(defs, selection)
    wanted = _with_ancestors(project, selected)
    require_pins(project.catalog, taken_by(project.artifacts[name] for name in wanted))
    stale = {name for name in stale_artifacts(project, wanted) if name in wanted}
    again = selected & set(project.artifacts) if force else set()
    stale |= again
    make = {key_of(name) for name in stale}
    if READINESS.to_user_string() in selected and (stale or not project.report.is_file()):
        make.add(READINESS)
    sources = {
        dg.AssetKey(["hub", *str(project.artifacts[name].settings["repository"]).split("/")])
        for name in stale
        if "repository" in project.artifacts[name].settings and name.endswith("_raw")
    }
    if sources:  # something will be fetched
        make.add(DOCTOR)
    graph = defs.resolve_asset_graph()
    checked = make | {dg.AssetKey(name.split("/")) for name in selected}
    checks = {key for key in graph.asset_check_keys if key.asset_key in checked}
    job = defs.resolve_job_def(materialize_all.name).get_subset(
        asset_selection=make | sources, asset_check_selection=checks
    )
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={
                "loggers": {"console": {}},
                "ops": {defs.resolve_assets_def(key_of(name)).op.name: FORCED for name in again},
            },
        )
    return _summary(project, result)


def _selected(defs: dg.Definitions, selection: str | None) -> set[str]:
    """The names of the selected assets that are made (observed sources are not)."""
    graph = defs.resolve_asset_graph()
    try:
        chosen = dg.AssetSelection.from_string(selection) if selection else dg.AssetSelection.all()
        keys = chosen.resolve(graph)
    except dg.DagsterError as error:
        keys, problem = set(), str(error)
    else:
        problem = "no asset of that name"
    if not keys:
        raise SelectionError(
            f"Nothing is selected by {selection!r}",
            expected='an asset key such as "models/micro-mtp", or "group:codecontests", "+key"',
            found=problem.strip().splitlines()[0],
            mend="`wmtp list` names every asset.",
        )
    return {key.to_user_string() for key in keys if graph.get(key).is_materializable}


def _with_ancestors(project: Project, selected: Iterable[str]) -> set[str]:
    wanted: set[str] = set()
    waiting = [name for name in selected if name in project.artifacts]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += project.artifacts[name].inputs
    return wanted


def _summary(project: Project, result: dg.ExecuteInProcessResult) -> Run:
    checks = []
    for evaluation in result.get_asset_check_evaluations():
        shown = {name: str(value.value) for name, value in evaluation.metadata.items()}
        checks.append(
            CheckResult(
                evaluation.asset_key.to_user_string(),
                evaluation.check_name,
                bool(evaluation.passed),
                bool(evaluation.blocking) or evaluation.severity is dg.AssetCheckSeverity.ERROR,
                shown.get("expected", ""),
                shown.get("found", ""),
                shown.get("where", ""),
            )
        )
    failures = []
    for event in result.get_step_failure_events() if not result.success else ():
        error = event.step_failure_data.error
        cause = error.cause or error if error else None
        failures.append(f"{event.step_key}: {cause.message.strip() if cause else 'failed'}")
    made = [
        event.asset_key.to_user_string()
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    ]
    blocked = [check for check in checks if not check.passed and check.blocking]
    return Run(
        result.run_id,
        result.success and not blocked,
        tuple(made),
        tuple(checks),
        tuple(failures),
    )
