"""One run from the command line: only what is stale is made, everything selected is verified.

The run goes into the same history that the page shows.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.released_weights import must_return
from wmtp_assets.artifacts.requests import unrequested
from wmtp_assets.artifacts.staleness import (
    damaged_artifacts,
    existing_followers,
    own_sets_of,
    sets_of,
    stale_artifacts,
    suspects_of_last_report,
    unfit_members,
    with_ancestors,
)
from wmtp_assets.artifacts.upstream_files import UpstreamFiles, require_pins, upstream_files_of
from wmtp_assets.catalog.artifacts import group_of
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import CheckResult
from wmtp_assets.orchestration.agreement import agree, report_unchanged
from wmtp_assets.orchestration.assets.common import FORCED, key_of
from wmtp_assets.orchestration.assets.doctor import KEY as DOCTOR
from wmtp_assets.orchestration.assets.readiness import KEY as READINESS
from wmtp_assets.orchestration.assets.ready import ready_keys
from wmtp_assets.orchestration.assets.report import KEY as REPORT
from wmtp_assets.orchestration.assets.sources import repository_key
from wmtp_assets.orchestration.build import build_defs
from wmtp_assets.orchestration.failures import Failure, failure_of, is_of_environment
from wmtp_assets.orchestration.gate_status import GateWatch
from wmtp_assets.orchestration.history import (
    end_dead_runs,
    shown_in_history,
)
from wmtp_assets.orchestration.home import enter_home, open_instance
from wmtp_assets.orchestration.jobs import MATERIALIZE_ALL
from wmtp_assets.orchestration.presentation import WHAT_TO_DO
from wmtp_assets.orchestration.whole_findings import results_of
from wmtp_assets.pages.language import LANGUAGES
from wmtp_assets.pages.report import file_name
from wmtp_assets.storage import PublishedSet
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.preflight import require_writable
from wmtp_assets.storage.receipts import Receipt


class SelectionError(WmtpError):
    """What was asked for names no asset."""


@dataclass(frozen=True)
class Run:
    """What a run made, published without making anything, and found.

    `succeeded` is False when a step or a blocking check failed, or what was asked for is not
    published.
    """

    run_id: str
    succeeded: bool
    made: tuple[str, ...]
    checks: tuple[CheckResult, ...]
    failures: tuple[Failure, ...]
    published: tuple[str, ...] = ()


def run(project: Project, selection: str | None, force: bool) -> Run:
    """Makes what is stale in `selection` (Dagster's syntax; None: all but what is made on request)
    and upstream of it.

    What is asked for is published as a whole: where the contract's paths do not lead to what is
    current, the other members of the set are looked at too, and where nothing of them is stale the
    set is published and nothing is made. With `force` the selected assets themselves are made
    again, changed or not, what they are made from where its bytes are not those of its receipt, and
    what was made from them where other bytes came of them.
    Every selected asset's checks run either way.

    Raises SelectionError, HomeError, StorageError where the storage cannot be written, and
    WmtpError when upstream is refused.
    """
    require_writable(project.storage, "A run")  # one error, not one for each step
    enter_home(project)
    defs = build_defs(project.catalog, project.hub_spec, project.storage)
    selected = _selected(defs, selection)
    asked_for = unrequested(project, selected) if selection else set()
    selected -= unrequested(project, selected) - asked_for
    work = _work(project, selected & set(project.artifacts), force)
    published, refused = _publish(project, work.publish)
    make = {key_of(name) for name in work.make}
    ready = {
        key: names for key, names in ready_keys(project).items() if key.to_user_string() in selected
    }
    make |= {key for key, names in ready.items() if names & work.make}
    asks_gate = READINESS.to_user_string() in selected
    if asks_gate and (make or not project.report.is_file()):
        make.add(READINESS)
    pages = [project.store.root / file_name(language) for language in LANGUAGES]
    if REPORT.to_user_string() in selected and (
        READINESS in make or not all(page.is_file() for page in pages)
    ):
        make.add(REPORT)
    raw = [name for name in work.make if project.artifacts[name].is_fetched]
    sources = {repository_key(UpstreamFiles.of(project.artifacts[name]).repo) for name in raw}
    if sources:  # something will be fetched
        make.add(DOCTOR)
    graph = defs.resolve_asset_graph()
    also = unrequested(project, project.artifacts) if selection is None else set()
    checked = make | {key_of(name) for name in {*selected, *also}}
    checks = {key for key in graph.asset_check_keys if key.asset_key in checked}
    before = {name: _sequence(project, name) for name in work.make}
    # Fetched again only because its source looks newer: made when other bytes came of it.
    doubted = {
        name: project.store.current(name)
        for name in raw
        if name not in work.again and not must_return(project, name)
    }
    with open_instance() as instance:
        end_dead_runs(instance)
        agree(instance, project, defs)
        report_unchanged(instance, project, defs, _unchanged(project, selected - work.make))
        asked = {*ready, READINESS} if asks_gate else {*ready}
        shown_only = {
            key for key in asked if instance.get_latest_materialization_event(key) is None
        }
        # Of a gate that was asked before there were these assets, the page would show that it is
        # out of date.
        shown_only = (shown_only | ({READINESS} if shown_only and asks_gate else set())) - make
        # The job of everything has not what is made on request.
        whole = (
            defs.resolve_implicit_global_asset_job_def()
            if asked_for
            else defs.resolve_job_def(MATERIALIZE_ALL)
        )
        job = whole.get_subset(
            asset_selection=make | sources | shown_only, asset_check_selection=checks
        )
        with shown_in_history(instance) as run_id:
            result = job.execute_in_process(
                instance=instance,
                run_id=run_id,
                raise_on_error=False,
                run_config={
                    "loggers": {"console": {}},
                    "ops": {
                        defs.resolve_assets_def(key_of(name)).op.name: FORCED for name in work.again
                    },
                },
            )
        gate = GateWatch(project)
        for event in result.all_events:
            gate.see(event)
        gate.report(instance)
    unchanged = {name for name in work.make if _sequence(project, name) == before[name]}
    unchanged |= {key.to_user_string() for key in shown_only}
    unchanged |= {
        name
        for name, old in doubted.items()
        if old is not None and (new := project.store.current(name)) and new.digest == old.digest
    }
    fetching = {DOCTOR, *(key_of(name) for name in raw)}
    steps = {key.to_python_identifier() for key in fetching}
    found = _summary(project, result, unchanged, steps)
    if result.success and not any(not one.passed and one.blocking for one in found.checks):
        refused += _unfit(project, selected)
    return replace(
        found,
        succeeded=found.succeeded and not refused,
        published=tuple(published),
        failures=(*found.failures, *refused),
    )


@dataclass(frozen=True)
class _Work:
    """Artifacts to `make`, those among them to make `again` though their recipes are the same, and
    sets to `publish` that nothing has to be made for."""

    make: set[str]
    again: set[str]
    publish: list[PublishedSet]


def _work(project: Project, selected: set[str], force: bool) -> _Work:
    wanted = with_ancestors(project, selected)
    require_pins(project.catalog, upstream_files_of(project.artifacts[name] for name in wanted))
    suspects = suspects_of_last_report(project) | (wanted - selected if force else set())
    damaged = damaged_artifacts(project, suspects & wanted)
    again = damaged | (selected if force else set())
    # What is made from the selected assets is stale where other bytes come of them.
    followers = existing_followers(project, selected) if force else set()
    followers -= unrequested(project, followers)
    stale = stale_artifacts(project, wanted | followers, again)
    publish, own = [], own_sets_of(project, selected)
    for name, one in sets_of(project, selected).items():
        if stale.isdisjoint(one.artifacts) and not project.store.unpublished(one):
            continue
        members = with_ancestors(project, one.artifacts)
        if name in own:
            require_pins(
                project.catalog, upstream_files_of(project.artifacts[name] for name in members)
            )
        remaining = stale_artifacts(project, members, again)
        if name in own:
            stale |= remaining
        if remaining.isdisjoint(one.artifacts):
            publish.append(one)
    return _Work(stale, again, publish)


def _publish(project: Project, sets: Iterable[PublishedSet]) -> tuple[list[str], list[Failure]]:
    """Publishes each: the names of those that were, and what stood in the way of the others."""
    done, refused = [], []
    for one in sets:
        try:
            if project.store.publish(one) is not None:
                done.append(one.name)
        except WmtpError as error:
            refused.append(Failure(one.name, str(error), could_not_try=is_of_environment(error)))
    return done, refused


def _unfit(project: Project, selected: Collection[str]) -> list[Failure]:
    """What was asked for, could be made, and is not published all the same."""
    return [
        Failure(
            one.name,
            f"{one.name} is not published: {'; '.join(unfit) or wrong[0].found}. "
            f"What to do: `wmtp materialize {one.name} --force`",
        )
        for one in own_sets_of(project, selected).values()
        if (wrong := project.store.unpublished(one))
        for unfit in [unfit_members(project.store, one)]
    ]


def _unchanged(project: Project, names: Collection[str]) -> list[Receipt]:
    """The receipts of those artifacts among `names` that exist: nothing of them changed."""
    found = []
    for name in sorted(project.artifacts.keys() & set(names)):
        with suppress(StorageError):  # its checks say what is wrong
            receipt = project.store.current(name)
            found += [receipt] if receipt else []
    return found


def _sequence(project: Project, name: str) -> int:
    """The number of an artifact's last commit: another one once it was made again."""
    return max((receipt.sequence for receipt in project.store.history(name)), default=0)


def _selected(defs: dg.Definitions, selection: str | None) -> set[str]:
    """The names of the selected assets that are made (observed sources are not)."""
    graph = defs.resolve_asset_graph()
    try:
        with warnings.catch_warnings():
            # How a selection is written is beta in the one version that pyproject allows.
            warnings.simplefilter("ignore", dg.BetaWarning)
            every = dg.AssetSelection.all()
            chosen = (
                dg.AssetSelection.from_string(_as_dagster_writes(selection)) if selection else every
            )
            keys = chosen.resolve(graph)
    except dg.DagsterError as error:
        keys, problem = set(), str(error)
    else:
        problem = "no asset of that name"
    if not keys:
        groups = sorted({graph.get(key).group_name for key in graph.get_all_asset_keys()})
        raise SelectionError(
            f"Nothing is selected by {selection!r}",
            expected='an asset key such as "models/micro-mtp", or "group:codecontests", "+key"',
            found=problem.strip().splitlines()[0],
            hint="`wmtp list` names every asset with its group; the groups are "
            f"{', '.join(groups)}.",
        )
    return {key.to_user_string() for key in keys if graph.get(key).is_materializable}


def _as_dagster_writes(selection: str) -> str:
    """The selection with groups that are named as the catalog names them, with dashes and dots."""
    return re.sub(r'\bgroup:"?([\w.-]+)"?', lambda found: f"group:{group_of(found[1])}", selection)


def _whole(project: Project, where: str) -> str:
    """A path that the page shows relative to the storage, as a terminal needs it."""
    root, path = project.store.root, where.partition(" ")[0]
    return f"{root}/{where}" if path and os.path.lexists(root / path) and path[0] != "/" else where


def _summary(
    project: Project,
    result: dg.ExecuteInProcessResult,
    unchanged: Collection[str],
    fetching: Collection[str],
) -> Run:
    checks, whole = [], results_of(result.run_id)
    for evaluation in result.get_asset_check_evaluations():
        named = evaluation.asset_key.to_user_string(), evaluation.check_name
        if named in whole:
            checks.append(whole[named])
            continue
        # The gate's own: what they say is short by itself.
        shown = {name: str(value.value) for name, value in evaluation.metadata.items()}
        checks.append(
            CheckResult(
                *named,
                bool(evaluation.passed),
                shown.get("expected", ""),
                shown.get("found", ""),
                _whole(project, shown.get("where", "")),
                shown.get(WHAT_TO_DO, ""),
                bool(evaluation.blocking) or evaluation.severity is dg.AssetCheckSeverity.ERROR,
            )
        )
    failed = () if result.success else result.get_step_failure_events()
    made = [
        event.asset_key.to_user_string()
        for event in result.get_asset_materialization_events()
        if event.asset_key is not None
    ]
    blocked = [check for check in checks if not check.passed and check.blocking]
    return Run(
        result.run_id,
        result.success and not blocked,
        tuple(name for name in made if name not in unchanged),
        tuple(checks),
        tuple(failure_of(event, fetching) for event in failed),
    )
