"""The checks of cards and Croissant files: they say what the catalog and the files say now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.derived import derived_from_inputs
from wmtp_assets.artifacts.checks.inputs import place
from wmtp_assets.artifacts.checks.subject import KindChecks, Subject, by
from wmtp_assets.artifacts.documents import Derived
from wmtp_assets.artifacts.evidence.files import (
    dataset_card_files,
    model_card_files,
    quality_card_files,
)
from wmtp_assets.artifacts.types import Document
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.findings import Check


def _model_card(project: Project, artifact: Artifact) -> Derived:
    metadata = Document(*place(project, artifact.inputs[0]))
    return model_card_files(project.catalog, artifact, metadata)


def _dataset_card(project: Project, artifact: Artifact) -> Derived:
    return dataset_card_files(project.catalog, project.store, artifact)


def _quality_card(project: Project, artifact: Artifact) -> Derived:
    return quality_card_files(project.catalog, project.store, artifact)


model_card_derived = derived_from_inputs(_model_card)
dataset_card_derived = derived_from_inputs(_dataset_card)
quality_card_derived = derived_from_inputs(_quality_card)


def _only(one: Check[Subject]) -> Callable[[Project, Artifact], list[Check[Any]]]:
    return lambda _project, _artifact: [one]


MODEL_CARDS = KindChecks(Subject, _only(model_card_derived), by(model_card_derived))
DATASET_CARDS = KindChecks(Subject, _only(dataset_card_derived), by(dataset_card_derived))
QUALITY_CARDS = KindChecks(Subject, _only(quality_card_derived), by(quality_card_derived))
