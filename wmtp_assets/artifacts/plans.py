"""Where a storage has the plans of work that is done in parts elsewhere."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets.artifacts.project import Project
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.engines.whole import Plan, Whole
from wmtp_assets.storage.preflight import PARTS


def plans_of(project: Project, artifact: Artifact) -> Path:
    """The folder of the plans of an artifact."""
    return project.store.root / PARTS / artifact.name


def plan_of(project: Project, artifact: Artifact, whole: Whole) -> Plan:
    """The plan of an artifact's work, if there is one. Raises EngineError."""
    return Plan(plans_of(project, artifact), whole)
