"""What a run has to make: whatever would come out otherwise than it did, or is not there."""

from __future__ import annotations

from collections.abc import Collection

from wmtp_assets.catalog.artifacts import Kind
from wmtp_assets.project import Project
from wmtp_assets.project.recipes import Recipe, upstream_inputs
from wmtp_assets.project.released import must_return


def stale_artifacts(project: Project, among: Collection[str]) -> set[str]:
    """Those of `among` that do not exist, or would be made from other inputs than they were.

    Whatever is made from a stale artifact is stale too; once made, it may turn out unchanged.
    """
    hub = project.hub()
    stale: set[str] = set()
    for artifact in project.artifacts.values():
        if artifact.name not in among:
            continue
        if stale.intersection(artifact.inputs):
            stale.add(artifact.name)
            continue
        if artifact.kind is Kind.RAW:
            inputs = upstream_inputs(hub, artifact, project.lock)
        else:
            receipts = {name: project.store.current(name) for name in artifact.inputs}
            inputs = {name: made.digest for name, made in receipts.items() if made is not None}
        made = Recipe.of(artifact, inputs).made(project.store, artifact.name)
        if made is None or (artifact.kind is Kind.RAW and must_return(project, artifact.name)):
            stale.add(artifact.name)
    return stale
