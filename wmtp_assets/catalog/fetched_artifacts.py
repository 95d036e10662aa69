"""What artifacts of models and of datasets share: how files are fetched, and the sample's mark."""

from __future__ import annotations

from collections.abc import Sequence

from wmtp_assets.catalog.artifact import Artifact, Kind
from wmtp_assets.catalog.fields import Status
from wmtp_assets.catalog.schema import Catalog
from wmtp_assets.catalog.upstream_entries import File, Upstream


def raw_artifact(
    name: str, owner: str, group: str, upstream: Upstream, files: Sequence[File], status: Status
) -> Artifact:
    """The artifact of some files of a repository."""
    return Artifact(
        name,
        Kind.RAW,
        owner,
        group,
        status=status,
        settings={
            "repository": upstream.repository,
            "revision": upstream.revision,
            "files": [file.model_dump() for file in files],
        },
    )


def raw_view_artifact(name: str, folders: Sequence[str], raw: Sequence[Artifact]) -> Artifact:
    """The artifact that shows the files of some raw artifacts of one owner in its `folders`."""
    first = raw[0]
    return Artifact(
        name,
        Kind.RAW_VIEW,
        first.owner,
        first.group,
        inputs=tuple(one.name for one in raw),
        status=first.status,
        links={f"{folder}/raw": "raw" for folder in folders},
    )


def sample_mark(catalog: Catalog) -> dict[str, object]:
    """What settings of documents say of the sample, and of no other catalog."""
    return {"sample": True} if catalog.is_sample else {}
