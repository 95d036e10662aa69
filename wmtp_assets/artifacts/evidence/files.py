"""The cards and Croissant files as artifacts: derived from the catalog and what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from wmtp_assets.artifacts.documents import Derived
from wmtp_assets.artifacts.evidence.croissant import croissant_json
from wmtp_assets.artifacts.evidence.dataset_card import (
    DatasetEvidence,
    SplitEvidence,
    SplitFile,
    dataset_card,
)
from wmtp_assets.artifacts.evidence.model_card import model_card
from wmtp_assets.artifacts.evidence.quality_card import (
    QualityEvidence,
    quality_card,
    quality_figures,
)
from wmtp_assets.artifacts.types import Document, Split, demand
from wmtp_assets.catalog import Catalog
from wmtp_assets.catalog.artifacts import Artifact, split_artifact
from wmtp_assets.catalog.contract import format_of, layout_of
from wmtp_assets.catalog.licences import terms_of
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.generations import CONTRACTS
from wmtp_assets.quality.figures.funnel import funnel_of
from wmtp_assets.quality.figures.split import figures_of
from wmtp_assets.storage.receipts import Receipt
from wmtp_assets.storage.store import Store

CARD = "README.md"
CROISSANT = "croissant.json"
FIGURES = "figures.json"


def stated_licence(artifact: Artifact) -> dict[str, object]:
    """What the receipt of a card states: the licence of the whole folder, as an SPDX expression."""
    return {"licence": cast("Mapping[str, object]", artifact.settings["terms"])["licence"]}


def model_card_files(catalog: Catalog, artifact: Artifact, metadata: Document) -> Derived:
    """README.md of a model, by its metadata.json."""
    network = layout_named(layout_of(catalog, artifact.owner)).network
    folder = str(artifact.settings["folder"])
    card = model_card(metadata.value(), network, folder, terms_of(catalog, artifact.owner))
    return Derived({CARD: card}, stated_licence(artifact))


def dataset_card_files(catalog: Catalog, store: Store, artifact: Artifact) -> Derived:
    """README.md and croissant.json of a dataset, by its splits' receipts. Raises StorageError
    without the splits."""
    dataset = _evidence(catalog, store, artifact)
    files = {CARD: dataset_card(dataset), CROISSANT: croissant_json(dataset)}
    return Derived(files, {**stated_licence(artifact), "document": CROISSANT})


def quality_card_files(catalog: Catalog, store: Store, artifact: Artifact) -> Derived:
    """README.md and figures.json about a dataset's rows, by what was found out about them.

    Raises StorageError without the files, CorpusError where one is about other rows.
    """
    found = cast("Mapping[str, Mapping[str, str]]", artifact.settings["files"])
    row_format, sample = format_of(catalog, artifact), bool(artifact.settings.get("sample"))
    splits, digests = [], {}
    for split, files in found.items():
        rows = Split.load(store, _rows_of(artifact, split))
        paths = {
            part: store.path(_about(artifact, split, part)) / file for part, file in files.items()
        }
        for part in files:
            demand(store, _about(artifact, split, part))
        figures = figures_of(
            RowIndex(rows.index),
            cast("Mapping[str, Any]", rows.receipt.facts["stats"]),
            row_format,
            verdicts=paths.get("verdicts"),
            leaks=paths.get("leaks"),
            duplicates=paths.get("duplicates"),
            as_published=not sample,
        )
        for trouble in figures.troubles.values():
            raise trouble
        splits.append(figures)
        digests[split] = rows.receipt.files[rows.jsonl.name].sha256
    dataset = QualityEvidence(artifact.owner, row_format, splits, digests, sample)
    return Derived(
        {CARD: quality_card(dataset), FIGURES: quality_figures(dataset)}, {"document": FIGURES}
    )


def _about(artifact: Artifact, split: str, part: str) -> str:
    return split_artifact(artifact.owner, split, part, artifact.contract)


def _evidence(catalog: Catalog, store: Store, artifact: Artifact) -> DatasetEvidence:
    settings = artifact.settings
    places = cast("Mapping[str, Mapping[str, str]]", settings["files"])
    row_format = format_of(catalog, artifact)
    splits = [
        _split(name, files, demand(store, _rows_of(artifact, name)), row_format)
        for name, files in places.items()
    ]
    return DatasetEvidence(
        artifact.owner,
        row_format,
        CONTRACTS.index(artifact.contract) + 1,
        str(settings["folder"]),
        splits,
        int(str(settings["max_tokens"])),
        terms_of(catalog, artifact.owner),
        sample=bool(settings.get("sample")),
    )


def _rows_of(artifact: Artifact, split: str) -> str:
    return split_artifact(artifact.owner, split, contract=artifact.contract)


def _split(
    name: str, places: Mapping[str, str], receipt: Receipt, row_format: DatasetFormat
) -> SplitEvidence:
    """A split by its receipt; `places`: its files' places in the dataset's folder, rows first."""
    rows, *beside = (
        SplitFile(place, receipt.files[file].size, receipt.files[file].sha256)
        for file, place in places.items()
    )
    facts = receipt.facts
    return SplitEvidence(
        name,
        rows,
        beside,
        int(facts["rows"]),
        facts.get("correct"),
        facts.get("incorrect"),
        funnel_of(facts["stats"], row_format),
    )
