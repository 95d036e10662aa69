"""Which models and datasets are wanted, as data: `full.yaml`, `sample.yaml`, and their schema.

Here: the schema, reading with errors by file, line and field, pinning, and what follows from a
catalog alone (artifact names, published paths). Nothing about a model or dataset (its files, dtype,
counts, licence) is decided anywhere else. Not here: fetching, files of the storage, Dagster.
"""

from wmtp_assets.catalog.dataset_entries import Dataset, Small, Split
from wmtp_assets.catalog.model_entries import Expected, MicroModel, Model, UpstreamModel
from wmtp_assets.catalog.reader import CatalogError, load_catalog
from wmtp_assets.catalog.schema import Catalog
from wmtp_assets.catalog.upstream_entries import File

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
