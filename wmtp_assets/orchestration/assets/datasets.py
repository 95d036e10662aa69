"""The datasets as assets: a split each, its metadata file, the schema, and the small copies.

What happens to the rows is in `corpora/`; here is only what is made from what.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.datasets import RECORDS, schema_documents
from wmtp_assets.artifacts.types import Fetched, Split, Tokenizer
from wmtp_assets.catalog import Dataset
from wmtp_assets.catalog.artifacts import TOKENIZER, Artifact, Kind
from wmtp_assets.corpora.build import build_split
from wmtp_assets.corpora.metadata import write_metadata
from wmtp_assets.corpora.report import SplitReport
from wmtp_assets.corpora.small_copy import select_small
from wmtp_assets.orchestration.assets.common import Made, Result, asset_arguments, make
from wmtp_assets.orchestration.resources import StorageResource
from wmtp_assets.storage.preflight import require_space

# JSONL is about twice the size of upstream's parquet (7.5 GB give 15), the index comes on top.
GROWTH = 3


def dataset_assets(project: Project) -> list[dg.AssetsDefinition]:
    """For every dataset of the catalog: its splits, metadata files, schema and small copies."""
    made = []
    for artifact in project.artifacts.values():
        dataset = project.catalog.datasets.get(artifact.owner)
        if dataset is None:
            continue
        match artifact.kind:
            case Kind.SPLIT:
                made.append(_split(artifact, dataset))
            case Kind.SMALL_SPLIT:
                made.append(_small_split(artifact, dataset))
            case Kind.SPLIT_METADATA | Kind.SMALL_METADATA:
                made.append(_metadata(artifact))
            case Kind.SCHEMA:
                made.append(_schema(artifact))
    return made


def _split(artifact: Artifact, dataset: Dataset) -> dg.AssetsDefinition:
    split = str(artifact.split)

    @dg.asset(
        **asset_arguments(
            artifact,
            f"{dataset.upstream.repository}, {split}: one Alpaca record a line, at most "
            f"{dataset.max_tokens} tokens each, with the row index and statistics.",
            ins={"raw": artifact.inputs[0], "tokenizer": TOKENIZER},
        )
    )
    def rows(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[StorageResource],
        raw: Fetched,
        tokenizer: Tokenizer,
    ) -> Result:
        def write(folder: Path) -> Made:
            shards = list(raw.paths().values())
            size = sum(shard.stat().st_size for shard in shards)
            require_space(folder, GROWTH * size, f"Building {artifact.owner} {split}")
            report = build_split(
                RECORDS[dataset.layout],
                shards,
                tokenizer.model,
                folder,
                split,
                max_tokens=dataset.max_tokens,
                progress=context.log.info,
            )
            return Made(_shown(report), report.files)

        return make(context, storage, artifact, [raw, tokenizer], write)

    return rows


def _small_split(artifact: Artifact, dataset: Dataset) -> dg.AssetsDefinition:
    wanted, seed = int(str(artifact.settings["rows"])), int(str(artifact.settings["seed"]))

    @dg.asset(
        **asset_arguments(
            artifact,
            f"{wanted} rows of {artifact.owner} {artifact.split}, chosen over many problems, "
            "difficulties and both classes; the same seed gives the same rows.",
            ins={"whole": artifact.inputs[0]},
        )
    )
    def rows(
        context: dg.AssetExecutionContext, storage: dg.ResourceParam[StorageResource], whole: Split
    ) -> Result:
        def write(folder: Path) -> Made:
            report = select_small(whole.jsonl, whole.index, folder, wanted, seed)
            return Made(_shown(report), report.files)

        return make(context, storage, artifact, [whole], write)

    return rows


def _shown(report: SplitReport) -> Mapping[str, object]:
    """The counts that the page shows; eval datasets have no classes."""
    counts: dict[str, object] = {"rows": report.rows}
    if report.correct is not None:
        counts |= {"correct": report.correct, "incorrect": report.incorrect}
    return counts | {"stats": dict(report.stats)}


def _metadata(artifact: Artifact) -> dg.AssetsDefinition:
    (file,) = artifact.links.values()

    @dg.asset(
        **asset_arguments(
            artifact,
            "Entry i tells class and difficulty of line i of the JSONL, so that training picks "
            "rows without reading them.",
            ins={"rows": artifact.inputs[0]},
        )
    )
    def metadata(
        context: dg.AssetExecutionContext, storage: dg.ResourceParam[StorageResource], rows: Split
    ) -> Result:
        def write(folder: Path) -> Made:
            written = write_metadata(rows.index, folder / file)
            stats = cast("dict[str, object]", written["stats"])
            return Made({"rows": stats["total"], **stats}, {file: str(written["sha256"])})

        return make(context, storage, artifact, [rows], write)

    return metadata


def _schema(artifact: Artifact) -> dg.AssetsDefinition:
    @dg.asset(
        **asset_arguments(
            artifact,
            "JSON Schema of a row, and the cards that declare the rows' files to `datasets`.",
            ins={},
        )
    )
    def schema(
        context: dg.AssetExecutionContext, storage: dg.ResourceParam[StorageResource]
    ) -> Result:
        def write(folder: Path) -> Made:
            return Made(schema_documents(artifact).write(folder))

        return make(context, storage, artifact, [], write)

    return schema
