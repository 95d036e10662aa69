"""Artifacts that are made on request only: runs of everything skip them, and they may be missing.

The catalog says which they are (`Artifact.on_request`): they take hours, and nothing depends on
them. They are made when somebody names them or their group, or selects them on the page. If one has
become stale, it is treated as missing, and made again at the next request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from wmtp_assets.artifacts.kinds import code_version_of
from wmtp_assets.artifacts.project import Project
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.storage.errors import StorageError

ON_REQUEST: Final = "on request"


def unrequested(project: Project, names: Iterable[str]) -> set[str]:
    """Those of `names` that are made on request only: a run that does not name them leaves them
    out."""
    artifacts = project.artifacts
    return {name for name in names if name in artifacts and artifacts[name].on_request}


def why_waiting(project: Project, artifact: Artifact) -> str:
    """Why nothing is to be said of an artifact that is made on request: it was not made, or its
    inputs are others by now. "" of every other artifact."""
    if not artifact.on_request:
        return ""
    store = project.store
    try:
        receipt = store.current(artifact.name)
        made = {name: store.current(name) for name in artifact.inputs}
    except StorageError:  # damaged, which its checks say
        return ""
    if receipt is None:
        return f"not made: {ON_REQUEST}"
    same = receipt.made_from(
        inputs={name: one.digest for name, one in made.items() if one is not None},
        code_version=code_version_of(artifact),
        entry_digest=artifact.settings_digest,
    )
    return "" if same else f"out of date, and made again {ON_REQUEST}"
