"""What is to be secured, as data: `full.yaml`, `sample.yaml`, and the typed schema that reads them.

Nothing about a model or dataset (its files, dtype, counts, licence) is decided anywhere else.
"""

from wmtp_assets.catalog.reader import CatalogError, load_catalog
from wmtp_assets.catalog.schema import (
    Catalog,
    Dataset,
    Expected,
    File,
    MicroModel,
    Model,
    Small,
    Split,
    UpstreamModel,
)

__all__ = [
    "Catalog",
    "CatalogError",
    "Dataset",
    "Expected",
    "File",
    "MicroModel",
    "Model",
    "Small",
    "Split",
    "UpstreamModel",
    "load_catalog",
]
