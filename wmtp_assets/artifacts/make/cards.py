"""Cards in the Hub's format, and Croissant."""

from __future__ import annotations

from wmtp_assets.artifacts.evidence.files import (
    dataset_card_files,
    model_card_files,
    quality_card_files,
)
from wmtp_assets.artifacts.make.task import Made, Task
from wmtp_assets.artifacts.types import Document


def write_model_card(task: Task) -> Made:
    """README.md of a model."""
    metadata = task.input(task.artifact.inputs[0], Document)
    return Made(model_card_files(task.project.catalog, task.artifact, metadata).write(task.folder))


def write_dataset_card(task: Task) -> Made:
    """README.md and croissant.json of a dataset."""
    project = task.project
    files = dataset_card_files(project.catalog, project.store, task.artifact)
    return Made(files.write(task.folder))


def write_quality_card(task: Task) -> Made:
    """README.md and figures.json of what was found out about a dataset's rows."""
    project = task.project
    files = quality_card_files(project.catalog, project.store, task.artifact)
    return Made(files.write(task.folder))
