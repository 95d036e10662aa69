"""Upstream as assets: a repository with its revision (observed), and the files taken from it."""

from pathlib import Path

import dagster as dg

from wmtp_assets.assets.making import Made, Result, asset_arguments, make_by, no_retry
from wmtp_assets.catalog.artifacts import Artifact, Kind
from wmtp_assets.hub.files import RepoId
from wmtp_assets.project import Project
from wmtp_assets.recipes import Recipe, upstream_inputs
from wmtp_assets.resources import HubResource, StorageResource
from wmtp_assets.storage.atomic import write_json
from wmtp_assets.upstream import Taken, fetch_taken, identity, listing_of


def repository_key(repo: RepoId) -> dg.AssetKey:
    """The key of the observed source of a repository: hub/<org>/<name>."""
    return dg.AssetKey(["hub", *repo.name.split("/")])


def upstream_assets(project: Project) -> list[dg.AssetsDefinition | dg.SourceAsset]:
    """An observed source for each repository, and a raw asset for each artifact taken from one."""
    raw = [artifact for artifact in project.artifacts.values() if artifact.kind is Kind.RAW]
    by_repository: dict[RepoId, list[Taken]] = {}
    for artifact in raw:
        taken = Taken.by(artifact)
        by_repository.setdefault(taken.repo, []).append(taken)
    licences = {u.repository: u for u in project.catalog.upstreams().values()}
    return [
        *(
            _source(repo, taken, licences[repo.name].licence, licences[repo.name].gated)
            for repo, taken in by_repository.items()
        ),
        *(_raw(artifact, project) for artifact in raw),
    ]


def _source(repo: RepoId, taken: list[Taken], licence: str, gated: bool) -> dg.SourceAsset:
    everything = Taken(repo, taken[0].revision, tuple(f for one in taken for f in one.files))

    @dg.observable_source_asset(
        key=repository_key(repo),
        group_name="hub",
        description=f"{repo} upstream, pinned to {everything.revision}. Licence: {licence}.",
        metadata={"licence": licence, "gated": gated, "pinned_revision": everything.revision},
    )
    def source(hub: HubResource) -> dg.ObserveResult:
        with no_retry():
            opened = hub.open()
            return dg.ObserveResult(
                data_version=dg.DataVersion(identity(opened, everything)),
                metadata={
                    "head": opened.head(repo),
                    "pinned_revision": everything.revision,
                    "source": opened.spec,
                },
            )

    return source


def _raw(artifact: Artifact, project: Project) -> dg.AssetsDefinition:
    taken = Taken.by(artifact)

    @dg.asset(
        **asset_arguments(
            artifact,
            f"The files taken from {taken.repo}, verified on arrival.",
            ins={},
            deps=[repository_key(taken.repo)],
        )
    )
    def raw(
        context: dg.AssetExecutionContext, hub: HubResource, storage: StorageResource
    ) -> Result:
        store = storage.store()
        with no_retry():
            opened = hub.open()
            recipe = Recipe.of(artifact, upstream_inputs(opened, artifact))

        def write(folder: Path) -> Made:
            commit, files = fetch_taken(
                opened, taken, store.upstream, project.lock, context.log.info
            )
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

        return make_by(context, storage, artifact, recipe, write)

    return raw
