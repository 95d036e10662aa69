"""A small storage, some of whose rows are to be executed."""

from __future__ import annotations

import shutil
from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog.dataset_entries import Execution, Quality
from wmtp_assets.storage.preflight import EXECUTED
from wmtp_assets_tests.artifacts.editions import planted, small
from wmtp_assets_tests.orchestration import tiny

DATASET = "codecontests"


def rows_to_execute(project: Project, folder: Path) -> tiny.Tiny:
    """The rows of the sample's code_contests, 80 of which are to be executed; what that gave
    before is known."""
    dataset = project.catalog.datasets[DATASET]
    quality = Quality(execute=Execution(rows={"train": 80}), duplicates=("train",))
    datasets = {DATASET: dataset.model_copy(update={"quality": quality})}
    catalog = small(project.catalog, "optional").model_copy(update={"datasets": datasets})
    made = tiny.empty(folder, catalog, Path(str(project.hub_spec)))
    planted(project, catalog, made.storage)
    shutil.copytree(project.storage / EXECUTED, made.storage / EXECUTED)
    return made
