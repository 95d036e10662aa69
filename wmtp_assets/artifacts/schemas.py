"""The schema documents of a dataset, as its splits and the catalog give them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast

from wmtp_assets.artifacts.documents import Derived, schema_files
from wmtp_assets.artifacts.types import demand
from wmtp_assets.catalog.artifacts import Artifact, split_artifact
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.storage.store import Store


def schema_documents(store: Store, artifact: Artifact) -> Derived:
    """The files of a schema artifact, as they must be. Raises StorageError without the splits.

    The cards declare the splits that have rows, as `datasets` loads no other.
    """
    dataset_format = FORMATS[str(artifact.settings["layout"])].of(artifact.contract)
    files, small = (
        cast("Mapping[str, str]", artifact.settings[name]) for name in ("files", "small_files")
    )
    made = {
        split: demand(store, split_artifact(artifact.owner, split, contract=artifact.contract))
        for split in files
    }
    empty = {split for split, receipt in made.items() if receipt.facts["rows"] == 0}
    return schema_files(
        dataset_format,
        _without(files, empty),
        _without(small, empty),
        {split: receipt.files[files[split]].sha256 for split, receipt in made.items()},
        cast("Mapping[str, object]", artifact.settings.get("small", {})),
        sample=bool(artifact.settings.get("sample")),
    )


def _without(files: Mapping[str, str], empty: Collection[str]) -> Mapping[str, str]:
    """`files` of the splits that are not `empty`; all of them where nothing else is left."""
    return {split: file for split, file in files.items() if split not in empty} or files
