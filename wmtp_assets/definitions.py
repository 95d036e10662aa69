"""The code location that Dagster loads: the definitions of the project in the environment."""

from __future__ import annotations

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.settings import Settings
from wmtp_assets.orchestration.build import build_defs

__all__ = ["build_defs", "defs"]


@dg.definitions
def defs() -> dg.Definitions:
    """Reads the environment. Raises SettingsError, CatalogError."""
    project = Project.from_settings(Settings.from_environment())
    return build_defs(project.catalog, project.hub_spec, project.storage)
