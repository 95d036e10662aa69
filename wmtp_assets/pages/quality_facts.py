"""What pages say of the quality of a split's rows: its figures, and what is not made yet.

The figures are `quality.figures`'; here is which files of a storage they are read from. A document
is read only where its SHA-256 is the one in its artifact's receipt.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.types import Handle, Split, demand
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.catalog.identity import identify
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.errors import WmtpError
from wmtp_assets.quality.figures.scales import Scales, scales_of
from wmtp_assets.quality.figures.split import Figures, as_json, figures_of
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets.storage.errors import StorageError
from wmtp_assets.storage.receipts import Receipt

_PARTS: Final[Mapping[str, str]] = {
    "_verdicts.json": "labels",
    "_leaks.parquet": "leaks",
    "_duplicates.parquet": "clusters",
}
"""By how an artifact's file is called: which part of the figures it gives."""


@dataclass(frozen=True)
class QualityFacts:
    """The figures of a split. `unmade` are artifacts that the catalog asks for, by the part of the
    figures that they would give."""

    figures: Figures
    unmade: Mapping[str, Artifact]


def about_quality(project: Project, rows: Artifact) -> Iterator[tuple[str, Artifact, str]]:
    """The artifacts that say something of the rows of an artifact: which part of the figures each
    gives, and by which of its files."""
    for one in project.artifacts.values():
        if one.is_about_quality and one.inputs[0] == rows.name:
            for file in dict.fromkeys(one.links.values()):
                for ending, part in _PARTS.items():
                    if file.endswith(ending):
                        yield part, one, file


def quality_of(
    project: Project, rows: Artifact, receipt: Receipt, index: RowIndex | None = None
) -> QualityFacts:
    """What is known of the rows of the version that `receipt` describes."""
    stats: Mapping[str, Any] = receipt.facts["stats"]
    if index is None:
        folder = project.store.versions.home(rows.name) / receipt.version
        index = RowIndex(Split(folder, receipt).index)
    unmade: dict[str, Artifact] = {}
    troubles: dict[str, WmtpError] = {}
    files: dict[str, Path] = {}
    for part, artifact, file in about_quality(project, rows):
        try:
            if project.store.current(artifact.name) is None:
                unmade[part] = artifact
                continue
            files[part] = _recorded(Handle.load(project.store, artifact.name), file)
        except WmtpError as error:
            troubles[part] = error
    digest = str(stats["index"]["sha256"])
    figures = figures_of(
        index,
        stats,
        format_of(project.catalog, rows),
        files.get("labels"),
        files.get("leaks"),
        files.get("clusters"),
        as_published=not project.catalog.is_sample,
        scales=lambda rows: _scales(rows.path.resolve(), digest),
    )
    return QualityFacts(
        dataclasses.replace(figures, troubles={**figures.troubles, **troubles}), unmade
    )


def quality_document(project: Project) -> dict[str, Any]:
    """The figures of every split of the catalog as a JSON value, with the versions that they are
    of. A split that is not made, or cannot be read, has its `trouble` instead."""
    splits: list[dict[str, Any]] = []
    for rows in project.artifacts.values():
        if rows.is_split:
            said: dict[str, Any] = {"asset": rows.name, "contract": rows.contract}
            try:
                receipt = demand(project.store, rows.name)
                found = quality_of(project, rows, receipt)
            except WmtpError as error:
                splits.append({**said, "trouble": str(error)})
                continue
            unmade = {part: one.name for part, one in found.unmade.items()}
            of = {"version": receipt.version, "jsonl": receipt.facts["stats"]["jsonl"]}
            splits.append({**said, **of, **as_json(found.figures), "unmade": unmade})
    identity = identify(project.catalog)
    catalog = {"name": identity.name, "digest": identity.digest, "shipped": identity.shipped}
    return {"catalog": catalog, "splits": splits}


@lru_cache(maxsize=32)
def _scales(path: Path, digest: str) -> Scales:
    """Of an index whose digest is `digest`, which does not change: counted once by a server."""
    del digest
    return scales_of(RowIndex(path))


def _recorded(made: Handle, name: str) -> Path:
    """A file of an artifact; of a document, the bytes that its receipt records."""
    path, recorded = made.folder / name, made.receipt.files[name]
    if path.suffix == ".json" and (found := sha256_file(path)) != recorded.sha256:
        raise StorageError(
            f"{name} of {made.name} is not as its receipt says",
            expected=f"SHA-256 {recorded.sha256[:12]}",
            found=found[:12],
            where=path,
            hint=f"wmtp materialize {made.name} --force",
        )
    return path
