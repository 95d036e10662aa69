"""The jobs: everything, the weekly refresh, and the daily verification."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from typing import Any

import dagster as dg

from wmtp_assets.errors import WmtpError
from wmtp_assets.orchestration.gate_status import GateWatch
from wmtp_assets.orchestration.history import execute_until_exit
from wmtp_assets.orchestration.postgres import connections_kept
from wmtp_assets.orchestration.quick_history import quick_history


class OneProcess(dg.Executor):
    """Dagster's in-process executor, for runs whose configuration names nothing unknown.

    Dagster itself checks that for named jobs only: in the job behind "Materialize" it passes over a
    name that it does not know, and a misspelt asset would not be made again.
    """

    def __init__(self, inner: dg.Executor, known: Mapping[str, Set[str]], gate: GateWatch) -> None:
        self._inner = inner
        self._known = known
        self._gate = gate

    @property
    def retries(self) -> Any:
        """As of the in-process executor: enabled."""
        return self._inner.retries

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Runs the steps. Raises RunConfigError, before the first, for an unknown name."""
        check_names(plan_context.run_config, self._known)
        # Dagster writes the run's end after this: killed before that, it must not stay "started".
        execute_until_exit(plan_context.run_id)
        with quick_history(), connections_kept(plan_context.instance):
            for event in self._inner.execute(plan_context, execution_plan):
                self._gate.see(event)
                yield event
            self._gate.report(plan_context.instance)


class RunConfigError(WmtpError):
    """A run's configuration names what does not exist."""


def check_names(run_config: Mapping[str, object], known: Mapping[str, Set[str]]) -> None:
    """Raises RunConfigError unless every name in the sections that `known` lists is known there."""
    for section, names in known.items():
        given = run_config.get(section)
        if given is None:
            continue
        unknown = sorted(set(given) - names) if isinstance(given, Mapping) else [given]
        if unknown:
            raise RunConfigError(
                f"The run configuration names unknown {section}",
                expected=f"names such as {', '.join(sorted(names)[:3])}",
                found=", ".join(map(repr, unknown[:5])),
                hint="use the names that the launchpad offers.",
            )


def one_process(
    known: Mapping[str, Set[str]], gate: Callable[[], GateWatch]
) -> dg.ExecutorDefinition:
    """All steps of a run in one process; not configurable. `known` is as in `check_names`.

    `gate` makes what watches a run's events for the gate.
    """

    @dg.executor(name="one_process", config_schema={})
    def executor(context: dg.InitExecutorContext) -> dg.Executor:
        create = dg.in_process_executor.executor_creation_fn
        if create is None:
            raise dg.DagsterInvariantViolationError("Dagster's in-process executor makes none")
        settings: dict[str, object] = {"retries": {"enabled": {}}}
        inner = create(context._replace(executor_config=settings))
        return OneProcess(inner, known, gate())

    return executor


with warnings.catch_warnings():
    # That sources can be part of a job is beta in the one version of Dagster that pyproject allows.
    warnings.simplefilter("ignore", dg.BetaWarning)
    EVERYTHING = dg.AssetSelection.all(include_sources=True)

MATERIALIZE_ALL, REFRESH, VERIFY = "materialize_all", "refresh", "verify"


def jobs(on_request: Collection[dg.AssetKey]) -> list[Any]:
    """Every job. Nothing that is made `on_request` is made by one; it is verified, if it is there.

    The first two observe the sources, make what is stale (an asset whose inputs are unchanged
    returns what exists), and verify everything.
    """
    checks = dg.AssetSelection.all_asset_checks()
    everything: dg.AssetSelection = EVERYTHING
    if on_request:
        everything = (EVERYTHING - dg.AssetSelection.assets(*on_request)) | checks
    return [
        dg.define_asset_job(
            MATERIALIZE_ALL,
            selection=everything,
            description="Makes every asset that is stale, and verifies all of them.",
        ),
        dg.define_asset_job(
            REFRESH,
            selection=everything,
            description="Looks at upstream's revisions and makes again only what they change.",
        ),
        dg.define_asset_job(
            VERIFY,
            selection=checks,
            description="Verifies everything that is stored, from the files themselves; makes "
            "nothing.",
        ),
    ]
