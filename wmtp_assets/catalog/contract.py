"""What is published as a whole under the contract's paths: a model's files, or a split's.

A reader sees all of a set's old version or all of its new one, never a mix.
"""

from __future__ import annotations

from wmtp_assets.catalog.artifacts import (
    Artifact,
    artifacts_of,
    model_artifact,
)
from wmtp_assets.catalog.model_artifacts import model_folders
from wmtp_assets.catalog.model_entries import MicroModel
from wmtp_assets.catalog.schema import Catalog
from wmtp_assets.catalog.tokenizers import published_files, tokenizer_of
from wmtp_assets.checkpoints.configs import HF_VIEW
from wmtp_assets.checkpoints.layout import Described
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.evaluation import EvaluationSource
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.storage import PublishedSet

Links = dict[str, tuple[str, str]]


def published_sets(catalog: Catalog) -> list[PublishedSet]:
    """Every set of `catalog`: one for each model, each split, each schema, each small split."""
    artifacts = artifacts_of(catalog)
    sets = []
    every = _links(catalog)
    for model in catalog.models:
        folders = model_folders(catalog, model)
        tokenizer = tokenizer_of(catalog, model)
        files = published_files(artifacts[tokenizer].settings)
        links: Links = {}
        for folder in folders:
            links |= {path: to for path, to in every.items() if path.startswith(f"{folder}/")}
            links |= {f"{folder}/tokenizer/{file}": (tokenizer, file) for file in files}
            links |= {
                f"{folder}/{HF_VIEW}/{name}": links[f"{folder}/{target}"]
                for name, target in layout_named(layout_of(catalog, model)).hf_view.items()
                if f"{folder}/{target}" in links  # not every tokenizer has a tokenizer.model
            }
        sets.append(PublishedSet(model_artifact(model), links, mounts=tuple(folders)))
    alone: dict[str, Links] = {}
    for name, artifact in artifacts.items():
        if not artifact.is_published_alone:
            continue
        beside = [a for a in artifacts.values() if a.is_row_metadata and a.inputs == (name,)]
        alone.setdefault(artifact.published_in, {}).update(
            {path: (a.name, file) for a in (artifact, *beside) for path, file in a.links.items()}
        )
    return sets + [PublishedSet(name, links, mounts=tuple(links)) for name, links in alone.items()]


def format_of(catalog: Catalog, artifact: Artifact) -> DatasetFormat:
    """The format of the rows of a dataset's artifact, in its generation of the contract."""
    return FORMATS[catalog.datasets[artifact.owner].layout].of(artifact.contract)


def evaluation_of(catalog: Catalog, artifact: Artifact) -> EvaluationSource:
    """Where the source of a dataset's artifact has its problems' tests. Raises LookupError where
    its format has none."""
    dataset_format = format_of(catalog, artifact)
    if dataset_format.evaluation is None:
        raise LookupError(f"{dataset_format.name} has no tests of whole problems")
    return dataset_format.evaluation


def layout_of(catalog: Catalog, model: str) -> str:
    """The layout of a model; a micro model has its base's."""
    entry = catalog.models[model]
    if isinstance(entry, MicroModel):
        return catalog.upstream_models()[entry.slice_of].layout
    return entry.layout


def described(catalog: Catalog, model: str) -> Described:
    """What the catalog says of a model, and its documents repeat; a micro model has its base's
    positions."""
    entry = catalog.models[model]
    if isinstance(entry, MicroModel):
        base = catalog.upstream_models()[entry.slice_of]
        return Described(model, entry.target_device, base.max_position_embeddings)
    return Described(model, None, entry.max_position_embeddings)


def _links(catalog: Catalog) -> Links:
    return {
        path: (artifact.name, file)
        for artifact in artifacts_of(catalog).values()
        for path, file in artifact.links.items()
    }
