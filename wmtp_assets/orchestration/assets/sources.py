"""Upstream as assets: one observed source per repository, pinned to its revision."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.upstream_files import UpstreamFiles, commit_of, identity, wanted_of
from wmtp_assets.catalog.upstream_entries import Upstream
from wmtp_assets.hub.drift import Drift, drift
from wmtp_assets.hub.files import RepoId
from wmtp_assets.orchestration.assets.common import OWNERS, no_retry, tags_of
from wmtp_assets.orchestration.resources import HubResource, StorageResource, project_of
from wmtp_assets.pages.card import source_card
from wmtp_assets.pages.text import below

_CHANGED_FILES = dg.TableSchema([dg.TableColumn(name) for name in ("file", "pinned", "head")])


def repository_key(repo: RepoId) -> dg.AssetKey:
    """The key of the observed source of a repository: hub/<org>/<name>."""
    return dg.AssetKey(["hub", *repo.name.split("/")])


def source_assets(project: Project) -> list[dg.AssetsDefinition]:
    """One observed source for each repository that the catalog takes files from."""
    entries = {upstream.repository: upstream for upstream in project.catalog.upstreams().values()}
    with warnings.catch_warnings():
        # Observed sources are beta in the one version of Dagster that pyproject allows.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return [
            _source(project, files, entries[files.repo.name]) for files in project.upstream_files()
        ]


def _source(project: Project, everything: UpstreamFiles, upstream: Upstream) -> dg.AssetsDefinition:
    repo = everything.repo

    spec = dg.AssetSpec(
        repository_key(repo),
        group_name="hub",
        kinds={"huggingface"},
        owners=OWNERS,
        description=source_card(project, everything, upstream).markdown(),
        tags=tags_of(project.catalog),
        metadata={
            "licence": upstream.licence,
            "gated": upstream.gated,
            "pinned_revision": everything.revision,
            **(
                {}
                if project.catalog.is_sample
                else {"dagster/uri": _uri(repo, everything.revision)}
            ),
        },
    )
    # Unlike the decorator for a single source, this one takes no run configuration.
    observed = cast(
        "Callable[[Callable[..., dg.ObserveResult]], dg.AssetsDefinition]",
        dg.multi_observable_source_asset(name=spec.key.to_python_identifier(), specs=[spec]),
    )

    @observed
    def source(
        storage: dg.ResourceParam[StorageResource], hub: dg.ResourceParam[HubResource]
    ) -> dg.ObserveResult:
        with no_retry():
            used = project_of(project.catalog, storage, hub)
            opened = used.hub()
            pinned = commit_of(opened, everything, used.lock)
            wanted = wanted_of(opened, replace(everything, revision=pinned))
            moved = drift(opened, repo, pinned, wanted.files)
            return dg.ObserveResult(
                # The pin's files, not head's: what upstream does next waits for a person.
                data_version=dg.DataVersion(identity(opened, everything, used.lock)),
                metadata={
                    "source": below(used.store.root, opened.spec),
                    "pinned_revision": pinned,
                    "head": moved.head,
                    "drift": _drift_text(moved),
                    **({"changed_files": _changed_files(moved)} if moved.changed else {}),
                },
            )

    return source


def _changed_files(moved: Drift) -> dg.TableMetadataValue:
    rows = [
        dg.TableRecord(
            {
                "file": file.path,
                "pinned": file.before or "not there",
                "head": file.after or "not there",
            }
        )
        for file in moved.changed
    ]
    return dg.MetadataValue.table(rows, schema=_CHANGED_FILES)


def _uri(repo: RepoId, revision: str) -> str:
    """The address of a repository at a revision, as huggingface_hub's file system writes it."""
    return f"hf://{'datasets/' if repo.kind == 'dataset' else ''}{repo.name}@{revision}"


def _drift_text(moved: Drift) -> str:
    if not moved.moved:
        return "none: the pin is upstream's head"
    if not moved.changed:
        return "upstream has a newer commit; none of the files taken would change"
    return (
        f"{len(moved.changed)} of the files taken are others at head; to take them: "
        f"wmtp pin {moved.repo.name} {moved.head}"
    )
