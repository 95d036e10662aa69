"""Whose tokenizer each model and dataset has, and what the artifacts of a tokenizer are called.

The shared tokenizer is `models/tokenizer`. A model whose entry says `tokenizer: own` has one of its
own, `models/<model>_tokenizer`; others may name that model. A slice has the tokenizer of its base.
Each is fetched separately from the weights, because datasets need it without 27 GB of weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wmtp_assets.catalog.artifact import (
    TOKENIZER,
    Artifact,
    Kind,
    group_of,
    model_artifact,
)
from wmtp_assets.catalog.fetched_artifacts import raw_artifact
from wmtp_assets.catalog.fields import OWN, SHARED, Status
from wmtp_assets.catalog.model_entries import MicroModel, UpstreamModel
from wmtp_assets.catalog.schema import Catalog
from wmtp_assets.catalog.upstream_entries import File


def tokenizer_artifacts(catalog: Catalog) -> list[Artifact]:
    """Every tokenizer, after the fetch that it is made from."""
    return [
        artifact for origin in _origins(catalog) for artifact in _fetched_and_made(catalog, origin)
    ]


def _fetched_and_made(catalog: Catalog, origin: str) -> list[Artifact]:
    name = _named(catalog, origin)
    group = "tokenizer" if name == TOKENIZER else group_of(origin)
    upstream = catalog.upstream_models()[origin].upstream
    files, status = _files(catalog, origin), _status(catalog, origin)
    raw = raw_artifact(raw_of(name), origin, group, upstream, files, status)
    made = Artifact(
        name,
        Kind.TOKENIZER,
        origin,
        group,
        inputs=(raw.name,),
        status=status,
        settings=_settings(catalog, origin),
    )
    return [raw, made]


def _is_json(file: File) -> bool:
    """Whether a tokenizer's file is a tokenizer.json; any other is a SentencePiece model."""
    return file.path.endswith(".json")


def origin_of(catalog: Catalog, owner: str) -> str:
    """The model with whose files the tokenizer of `owner`, a model or dataset, comes."""
    if owner in catalog.datasets:
        named = catalog.datasets[owner].tokenizer
        return catalog.tokenizer.from_model if named == SHARED else origin_of(catalog, named)
    model = catalog.models[owner]
    if isinstance(model, MicroModel):
        return origin_of(catalog, model.slice_of)
    if model.tokenizer == OWN:
        return owner
    return catalog.tokenizer.from_model if model.tokenizer == SHARED else model.tokenizer


def tokenizer_of(catalog: Catalog, owner: str) -> str:
    """The artifact of the tokenizer that `owner`, a model or dataset, has."""
    return _named(catalog, origin_of(catalog, owner))


def _named(catalog: Catalog, origin: str) -> str:
    """The artifact of the tokenizer that comes with the model `origin`."""
    shared = origin == catalog.tokenizer.from_model
    return TOKENIZER if shared else model_artifact(origin, "tokenizer")


def raw_of(tokenizer: str) -> str:
    """The artifact of the files that a tokenizer is made from."""
    return f"{tokenizer}_raw"


def _origins(catalog: Catalog) -> list[str]:
    """The models with whose files a tokenizer comes, that of the shared one first."""
    own = [n for n, model in catalog.upstream_models().items() if model.tokenizer == OWN]
    return [catalog.tokenizer.from_model, *own]


def _status(catalog: Catalog, origin: str) -> Status:
    """Required where it is the shared one, or something that is required has it."""
    required = origin == catalog.tokenizer.from_model or any(
        entry.status == "required" and origin_of(catalog, name) == origin
        for name, entry in [*catalog.models.items(), *catalog.datasets.items()]
    )
    return "required" if required else "optional"


def _files(catalog: Catalog, origin: str) -> list[File]:
    """The files that a tokenizer is made from. Beside a tokenizer.json, and a tokenizer of a
    model's own, they are the documents that say which of its tokens are special."""
    files = catalog.upstream_models()[origin].files
    if files.tokenizer is None:
        return []
    if origin == catalog.tokenizer.from_model and not _is_json(files.tokenizer):
        return [files.tokenizer]
    return [file for file in (files.tokenizer, files.config, files.tokenizer_config) if file]


def _settings(catalog: Catalog, origin: str) -> dict[str, object]:
    """The settings of a tokenizer's artifact: the number of pieces that the catalog states of the
    shared one, and which file it is made from where that is not tokenizer.model."""
    shared = origin == catalog.tokenizer.from_model
    file = catalog.upstream_models()[origin].files.tokenizer
    return {
        **({"vocab_size": catalog.tokenizer.vocab_size} if shared else {}),
        **({"file": "tokenizer.json"} if file and _is_json(file) else {}),
    }


def stated_size(tokenizer: Artifact) -> int | None:
    """The number of pieces that the catalog states of a tokenizer."""
    stated = tokenizer.settings.get("vocab_size")
    return stated if isinstance(stated, int) else None


def published_files(settings: Mapping[str, object]) -> tuple[str, ...]:
    """What a tokenizer with these settings is published as, the file first that decides its ids."""
    documents = ("tokenizer.json", "tokenizer_config.json")
    return documents if settings.get("file") == documents[0] else ("tokenizer.model", *documents)


def deciding_file(catalog: Catalog, owner: str) -> str:
    """The published file that decides the ids of the tokenizer that `owner` has."""
    return published_files(_settings(catalog, origin_of(catalog, owner)))[0]


def mistakes(catalog: Catalog) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What entries say of tokenizers and cannot be: the field at fault, and why."""
    own = [n for n, model in catalog.upstream_models().items() if model.tokenizer == OWN]
    for name, model in catalog.upstream_models().items():
        where = ("models", name, "tokenizer")
        if model.tokenizer == SHARED:
            continue
        if name == catalog.tokenizer.from_model:
            yield where, "its tokenizer is the shared one (tokenizer.from_model): leave this out"
        elif model.tokenizer != OWN and model.tokenizer not in own:
            yield where, _no_own(catalog, model.tokenizer)
        elif model.tokenizer == OWN and model.files.tokenizer is None:
            yield where, f"files.tokenizer names no file: name the tokenizer of {name}"
    for name, dataset in catalog.datasets.items():
        if dataset.tokenizer != SHARED and dataset.tokenizer not in catalog.models:
            yield (
                ("datasets", name, "tokenizer"),
                f"no model is called {dataset.tokenizer!r}: name the one by whose tokenizer rows "
                "are counted",
            )


def _no_own(catalog: Catalog, name: str) -> str:
    found = catalog.models.get(name)
    if found is None:
        return f"{name!r} is no model of this catalog: write own, shared, or a model's name"
    if isinstance(found, UpstreamModel) and name == catalog.tokenizer.from_model:
        return f"the tokenizer of {name!r} is the shared one: write shared"
    return f"{name!r} has no tokenizer of its own: name a model whose entry says `tokenizer: own`"
