"""`raw/` of a model's or dataset's folder: upstream's files as they were fetched.

They are hard links to the files below storage/upstream, so nothing is stored twice. Weights are
left out: `wmtp gc --raw` removes them, and 27 GB that only the conversion reads would be part of
every copy of the folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from wmtp_assets.artifacts.conversion import weights_of
from wmtp_assets.artifacts.project import Project
from wmtp_assets.artifacts.types import Fetched, fetched
from wmtp_assets.catalog.artifacts import Artifact

FOLDER = "raw"


def shown_files(
    project: Project, artifact: Artifact
) -> dict[str, tuple[Path, Mapping[str, object]]]:
    """What belongs in the folder, by its path there: its stored path, and its size and SHA-256 as
    they were recorded on arrival. Raises StorageError where it was not fetched."""
    found: dict[str, tuple[Path, Mapping[str, object]]] = {}
    for name in artifact.inputs:
        found |= files_shown_of(project, fetched(project.store, name))
    return found


def files_shown_of(project: Project, raw: Fetched) -> dict[str, tuple[Path, Mapping[str, object]]]:
    """As `shown_files`, of one raw artifact: a model's weights are left out."""
    model = project.catalog.upstream_models().get(project.artifacts[raw.name].owner)
    hidden = set() if model is None else set(weights_of(model, raw))
    paths = raw.paths()
    return {
        f"{FOLDER}/{path}": (paths[path], record)
        for path, record in raw.files().items()
        if path not in hidden
    }
