"""Upstream as assets: a repository with its revision (observed), and the files taken from it."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.recipes import Recipe, upstream_inputs
from wmtp_assets.artifacts.staleness import incomplete
from wmtp_assets.artifacts.upstream_files import (
    Taken,
    commit_of,
    fetch_taken,
    identity,
    listing_of,
    require_pins,
    wanted_of,
)
from wmtp_assets.catalog.artifacts import Artifact, Kind
from wmtp_assets.catalog.schema import Upstream
from wmtp_assets.hub.drift import Drift, drift
from wmtp_assets.hub.files import RepoId
from wmtp_assets.orchestration.assets.common import Made, Result, asset_arguments, make_by, no_retry
from wmtp_assets.orchestration.assets.doctor import KEY as DOCTOR
from wmtp_assets.orchestration.resources import HubResource, StorageResource
from wmtp_assets.storage.atomic import write_json

CHANGED_FILES = dg.TableSchema([dg.TableColumn(name) for name in ("file", "pinned", "head")])


def repository_key(repo: RepoId) -> dg.AssetKey:
    """The key of the observed source of a repository: hub/<org>/<name>."""
    return dg.AssetKey(["hub", *repo.name.split("/")])


def upstream_assets(project: Project) -> list[dg.AssetsDefinition]:
    """An observed source for each repository, and a raw asset for each artifact taken from one."""
    words = {upstream.repository: upstream for upstream in project.catalog.upstreams().values()}
    raw = [artifact for artifact in project.artifacts.values() if artifact.kind is Kind.RAW]
    with warnings.catch_warnings():
        # Observed sources are beta in the one version of Dagster that pyproject allows.
        warnings.simplefilter("ignore", dg.BetaWarning)
        sources = [_source(project, taken, words[taken.repo.name]) for taken in project.taken()]
    return [*sources, *(_raw(artifact, project) for artifact in raw)]


def _source(project: Project, everything: Taken, upstream: Upstream) -> dg.AssetsDefinition:
    repo = everything.repo

    spec = dg.AssetSpec(
        repository_key(repo),
        group_name="hub",
        description=f"{repo} upstream, pinned to {everything.revision}. "
        f"Licence: {upstream.licence}.",
        metadata={
            "licence": upstream.licence,
            "gated": upstream.gated,
            "pinned_revision": everything.revision,
        },
    )
    # Unlike the decorator for a single source, this one takes no run configuration.
    observed = cast(
        "Callable[[Callable[..., dg.ObserveResult]], dg.AssetsDefinition]",
        dg.multi_observable_source_asset(name=spec.key.to_python_identifier(), specs=[spec]),
    )

    @observed
    def source(hub: dg.ResourceParam[HubResource]) -> dg.ObserveResult:
        with no_retry():
            opened = hub.open()
            pinned = commit_of(opened, everything, project.lock)
            wanted = wanted_of(opened, replace(everything, revision=pinned))
            moved = drift(opened, repo, pinned, wanted.files)
            return dg.ObserveResult(
                # The pin's files, not head's: what upstream does next waits for a person.
                data_version=dg.DataVersion(identity(opened, everything, project.lock)),
                metadata={
                    "source": opened.spec,
                    "pinned_revision": pinned,
                    "head": moved.head,
                    "drift": _drift_text(moved),
                    "changed_files": dg.MetadataValue.table(
                        [
                            dg.TableRecord(
                                {
                                    "file": file.path,
                                    "pinned": file.before or "not there",
                                    "head": file.after or "not there",
                                }
                            )
                            for file in moved.changed
                        ],
                        schema=CHANGED_FILES,
                    ),
                },
            )

    return source


def _drift_text(moved: Drift) -> str:
    if not moved.moved:
        return "none: the pin is upstream's head"
    if not moved.changed:
        return "upstream has a newer commit; none of the files taken would change"
    return (
        f"{len(moved.changed)} of the files taken are others at head; to take them: "
        f"wmtp pin {moved.repo.name} {moved.head}"
    )


def _raw(artifact: Artifact, project: Project) -> dg.AssetsDefinition:
    taken = Taken.by(artifact)

    @dg.asset(
        **asset_arguments(
            artifact,
            f"The files taken from {taken.repo}, verified on arrival.",
            ins={},
            deps=[repository_key(taken.repo), DOCTOR],
        )
    )
    def raw(
        context: dg.AssetExecutionContext,
        hub: dg.ResourceParam[HubResource],
        storage: dg.ResourceParam[StorageResource],
    ) -> Result:
        store, lock = storage.store(), project.lock
        with no_retry():
            require_pins(project.catalog, [taken])
            opened = hub.open()
            recipe = Recipe.of(artifact, upstream_inputs(opened, artifact, lock))

        def write(folder: Path) -> Made:
            commit, files = fetch_taken(opened, taken, store.upstream, lock, context.log.info)
            write_json(folder / "fetched.json", listing_of(files))
            facts = {
                "folder": taken.repo.folder,
                "revision": commit,
                "fetched_bytes": sum(file.received for file in files),
                "resumed_from": sum(file.resumed_from for file in files),
                "retries": sum(file.retries for file in files),
                "seconds": round(sum(file.seconds for file in files), 3),
            }
            return Made(facts)

        return make_by(
            context, storage, artifact, recipe, write, lambda: incomplete(project, artifact.name)
        )

    return raw
