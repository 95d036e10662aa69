"""What is made on request: no run of everything makes it, and nobody misses it until then.

An artifact is on request where the catalog says so (`Artifact.on_request`): it takes hours, and
nothing waits for it. Whoever names it, its group, or it on the page asks for it. What was made once
and is out of date by now is as good as not made: it is made again when somebody asks again.
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
