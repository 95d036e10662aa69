"""Fetched files that may go: what nothing names any more, and weights proven converted."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets.catalog import UpstreamModel
from wmtp_assets.catalog.artifacts import model_artifact
from wmtp_assets.project import Project
from wmtp_assets.proofs import prove
from wmtp_assets.upstream import Taken


def orphans(project: Project) -> list[Path]:
    """Partial and quarantined files in storage/upstream, of repositories not in the catalog."""
    upstream = project.store.upstream
    wanted = {str(upstream / taken.repo.folder) for taken in project.taken()}
    return [
        path
        for path in sorted(upstream.rglob("*"))
        if path.is_file()
        and path.name.startswith(".")
        and not any(str(path).startswith(f"{folder}/") for folder in wanted)
    ]


def proven_raw_files(project: Project) -> list[Path]:
    """The fetched weights of models whose every proof passes now; dropping them is a choice.

    Without them a conversion cannot be compared with its source again.
    """
    files: list[Path] = []
    for name, model in project.catalog.models.items():
        if not isinstance(model, UpstreamModel):
            continue
        artifact = project.artifacts[model_artifact(name)]
        if all(finding.passed for finding in prove(project, artifact)):
            folder = (
                project.store.upstream / Taken.by(project.artifacts[artifact.inputs[0]]).repo.folder
            )
            files += [folder / file.path for file in model.files.weights]
    return files
