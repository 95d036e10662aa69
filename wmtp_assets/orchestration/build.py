"""The definitions that Dagster loads, built from a catalog, a source of bytes and a storage."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.requests import unrequested
from wmtp_assets.catalog import Catalog
from wmtp_assets.orchestration.assets.artifacts import artifact_assets
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.orchestration.assets.doctor import doctor_asset
from wmtp_assets.orchestration.assets.readiness import readiness_asset
from wmtp_assets.orchestration.assets.ready import ready_assets
from wmtp_assets.orchestration.assets.report import report_asset
from wmtp_assets.orchestration.assets.sources import source_assets
from wmtp_assets.orchestration.checks.artifacts import artifact_checks
from wmtp_assets.orchestration.checks.readiness import readiness_check
from wmtp_assets.orchestration.checks.ready import ready_checks
from wmtp_assets.orchestration.console import console_logger
from wmtp_assets.orchestration.gate_status import GateWatch
from wmtp_assets.orchestration.io_manager import KEY as IO_MANAGER
from wmtp_assets.orchestration.io_manager import io_manager
from wmtp_assets.orchestration.jobs import jobs, one_process
from wmtp_assets.orchestration.notifications import notification_sensor
from wmtp_assets.orchestration.resources import resources
from wmtp_assets.orchestration.schedules import SCHEDULES, sensors


def build_defs(catalog: Catalog, hub: str | None, storage: Path) -> dg.Definitions:
    """The definitions for `catalog`, with bytes from `hub` (see Project) and files below `storage`.

    Tests call this with a catalog, a mirror and a folder of their own.
    """
    project = Project(catalog, storage, hub)
    assets = [
        doctor_asset(project),
        *source_assets(project),
        *artifact_assets(project),
        *ready_assets(project),
        readiness_asset(project),
        report_asset(project),
    ]
    checks = [*artifact_checks(project), *ready_checks(project), readiness_check(project)]
    opened = {**resources(project), IO_MANAGER: io_manager(catalog)}
    operations = {definition.node_def.name for definition in [*assets, *checks]}
    return dg.Definitions(
        assets=assets,
        asset_checks=checks,
        jobs=jobs([key_of(name) for name in sorted(unrequested(project, project.artifacts))]),
        schedules=SCHEDULES,
        sensors=[*sensors(), notification_sensor(project)],
        loggers={"console": console_logger},
        # One process: a step's own code uses every core, and starting one costs seconds.
        executor=one_process(
            {"ops": operations, "resources": set(opened)}, lambda: GateWatch(project)
        ),
        resources=opened,
    )
