"""The code location that Dagster loads: the definitions of the project in the environment."""

from __future__ import annotations

import os

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.settings import Settings
from wmtp_assets.orchestration.agreement import agree
from wmtp_assets.orchestration.build import build_defs
from wmtp_assets.orchestration.home import claim_home, open_instance

__all__ = ["build_defs", "defs"]


@dg.definitions
def defs() -> dg.Definitions:
    """Reads the environment. With a DAGSTER_HOME, its history is made to agree with the files.

    Raises SettingsError, CatalogError, and HomeError where the home belongs to another storage or
    catalog: its sensors and schedules must start nothing here.
    """
    project = Project.from_settings(Settings.from_environment())
    built = build_defs(project.catalog, project.hub_spec, project.storage)
    if os.environ.get("DAGSTER_HOME"):
        claim_home(project)
        with open_instance() as instance:
            agree(instance, project, built)
    return built
