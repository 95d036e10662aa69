"""The schema documents of a dataset, as its splits and the catalog give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from wmtp_assets.artifacts.documents import Derived, schema_files
from wmtp_assets.catalog.artifacts import Artifact


def schema_documents(artifact: Artifact) -> Derived:
    """The files of a schema artifact, as they must be."""
    layout = str(artifact.settings["layout"])
    files, small = (
        cast("Mapping[str, str]", artifact.settings[name]) for name in ("files", "small_files")
    )
    return schema_files(layout, files, small)
