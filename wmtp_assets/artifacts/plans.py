"""Where a storage has the plans of work that is done in parts elsewhere."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets.artifacts.make.task import Task
from wmtp_assets.engines.whole import DIGITS, Plan, Whole
from wmtp_assets.storage.preflight import PARTS


def plans_of(task: Task) -> Path:
    """The folder of the plans of an artifact's recipe: upstream's files of another revision lie at
    the same paths, and other code may make others of them, but its parts are not those."""
    return task.project.store.root / PARTS / task.artifact.name / task.recipe[:DIGITS]


def plan_of(task: Task, whole: Whole) -> Plan:
    """The plan of an artifact's work, if there is one. Raises EngineError."""
    return Plan(plans_of(task), whole)
