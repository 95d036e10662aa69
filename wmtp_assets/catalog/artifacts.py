"""What follows from a catalog: every artifact, what it is made from, and where readers find it.

An artifact is a folder of files that one Dagster asset makes; its name is the asset's key. Assets,
checks, the gate, `wmtp verify` and staleness all walk this one list. `links` are the contract with
the training code (paths below the storage root): what a reader opens, and which file that is.
"""

from __future__ import annotations

from wmtp_assets.catalog.artifact import (
    TOKENIZER,
    TOKENIZER_RAW,
    Artifact,
    Kind,
    group_of,
    model_artifact,
    split_artifact,
)
from wmtp_assets.catalog.dataset_artifacts import dataset_artifacts
from wmtp_assets.catalog.model_artifacts import model_artifacts
from wmtp_assets.catalog.schema import Catalog
from wmtp_assets.catalog.tokenizers import tokenizer_artifacts

__all__ = [
    "TOKENIZER",
    "TOKENIZER_RAW",
    "Artifact",
    "Kind",
    "artifacts_of",
    "every_artifact",
    "group_of",
    "model_artifact",
    "split_artifact",
]


def artifacts_of(catalog: Catalog) -> dict[str, Artifact]:
    """Every artifact of `catalog` by name, each after the artifacts that it is made from."""
    return {artifact.name: artifact for artifact in every_artifact(catalog)}


def every_artifact(catalog: Catalog) -> list[Artifact]:
    """As `artifacts_of`, and also where two have one name (which `consistency.py` refuses)."""
    return [
        *tokenizer_artifacts(catalog),
        *model_artifacts(catalog),
        *dataset_artifacts(catalog),
    ]
