"""The artifacts of models: checkpoints, and the documents beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from wmtp_assets.catalog.artifact import (
    TOKENIZER,
    Artifact,
    Kind,
    group_of,
    model_artifact,
)
from wmtp_assets.catalog.fetched_artifacts import (
    raw_artifact,
    raw_view_artifact,
    sample_mark,
)
from wmtp_assets.catalog.licences import terms_of
from wmtp_assets.catalog.model_entries import MicroModel, Model, UpstreamModel
from wmtp_assets.catalog.schema import Catalog
from wmtp_assets.catalog.tokenizers import deciding_file, origin_of, raw_of, tokenizer_of
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.generations import model_folder


def model_artifacts(catalog: Catalog) -> list[Artifact]:
    """Every artifact of the models: those that are fetched, then those that are sliced of them."""
    found: list[Artifact] = []
    for name, model in catalog.upstream_models().items():
        found += _fetched(name, model, catalog)
    for name, micro in catalog.micro_models().items():
        found += _micro(name, micro, catalog)
    return found


def _fetched(name: str, model: UpstreamModel, catalog: Catalog) -> list[Artifact]:
    raw, weights = model_artifact(name, "raw"), model_artifact(name)
    tokenizer = tokenizer_of(catalog, name)
    group = group_of(name)
    conversion: dict[str, object] = {
        "layout": model.layout,
        "source_dtype": model.source_dtype,
        "dtype": model.dtype,
        "waive_overflow": list(model.waive_overflow),
        # Only where they are given: the digest of what was made without them stays what it was.
        **({"weights_key": list(model.weights_key)} if model.weights_key else {}),
        **({"strip_prefix": model.strip_prefix} if model.strip_prefix else {}),
    }
    if model.source_dtype_of:  # absent, as it was before there was such a field
        conversion["source_dtype_of"] = dict(sorted(model.source_dtype_of.items()))
    made = [
        raw_artifact(raw, name, group, model.upstream, model.files.all(), model.status),
        Artifact(
            weights,
            Kind.CHECKPOINT,
            name,
            group,
            # What is not the shared tokenizer is compared with the embedding before the conversion.
            inputs=(raw,) if tokenizer == TOKENIZER else (raw, raw_of(tokenizer)),
            status=model.status,
            links=_checkpoint_links(name, catalog),
            settings=conversion,
        ),
    ]
    described: dict[str, object] = {
        **sample_mark(catalog),
        "repository": model.upstream.repository,
        "revision": model.upstream.revision,
        "licence": model.upstream.licence,
        "status": model.status,
        "target_device": model.target_device,
        "source": _source(model),
        "tokenizer_shared_with": _shared_with(name, catalog),
    }
    made += _documents(made[1], model, raw, described, catalog)
    if model.shard_bytes is not None:
        shards = Artifact(
            model_artifact(name, "shards"),
            Kind.SHARDS,
            name,
            group,
            inputs=(weights, model_artifact(name, "config")),
            status=model.status,
            links=_links(name, {"sharded": "sharded"}, catalog),
            settings={"shard_bytes": model.shard_bytes},
        )
        made.append(shards)
    if "current" in catalog.contract:
        view = model_artifact(name, "raw_view")
        made.append(raw_view_artifact(view, _current_folders(name, model), made[:1]))
    return made


def _micro(name: str, micro: MicroModel, catalog: Catalog) -> list[Artifact]:
    base = catalog.upstream_models()[micro.slice_of]
    base_config = model_artifact(micro.slice_of, "config")
    weights = model_artifact(name)
    group = group_of(name)
    checkpoint = Artifact(
        weights,
        Kind.CHECKPOINT,
        name,
        group,
        inputs=(model_artifact(micro.slice_of), base_config),
        status=micro.status,
        links=_checkpoint_links(name, catalog),
        settings={"layers": micro.layers, "dim": micro.dim, "ffn": micro.ffn},
    )
    described = {
        **sample_mark(catalog),
        "slice_of": micro.slice_of,
        "status": micro.status,
        "target_device": micro.target_device,
        "source": {"slice_of": micro.slice_of, **_source(base)},
        "tokenizer_shared_with": _shared_with(name, catalog),
    }
    device = {"target_device": micro.target_device}
    documents = _documents(checkpoint, base, weights, described, catalog, adapter=device)
    return [checkpoint, *documents]


def _source(model: UpstreamModel) -> dict[str, object]:
    """Where a model comes from, for metadata.json."""
    upstream = model.upstream
    # Only of a licence that SPDX does not list.
    named = {"licence_name": upstream.licence_name, "licence_link": upstream.licence_link}
    return {
        "repository": upstream.repository,
        "revision": upstream.revision,
        "licence": upstream.licence,
        **{name: said for name, said in named.items() if said},
    }


def _shared_with(name: str, catalog: Catalog) -> str | None:
    """The model whose tokenizer a model has; None of the one that it comes with."""
    origin = origin_of(catalog, name)
    return None if name == origin else origin


def _links(model: str, files: Mapping[str, str], catalog: Catalog) -> dict[str, str]:
    """Files of a model under the paths of every generation: `files` are the artifact's, by their
    places in the model's folder."""
    folders = model_folders(catalog, model)
    return {f"{folder}/{path}": file for folder in folders for path, file in files.items()}


def model_folders(catalog: Catalog, model: str) -> list[str]:
    """Every folder of a model's files, below the storage: one in each generation of the contract,
    and in the current one those of its aliases."""
    folders = [model_folder(contract, model) for contract in catalog.contract]
    if "current" in catalog.contract:
        folders += _current_folders(model, catalog.models[model])[1:]
    return folders


def _current_folders(name: str, model: Model) -> list[str]:
    """The folders of a model's files in the current generation: its own, and its aliases'."""
    return [model_folder("current", one) for one in (name, *model.aliases)]


def _checkpoint_links(name: str, catalog: Catalog) -> dict[str, str]:
    files = ("model.safetensors", "SHA256SUMS")
    return _links(name, {f"safetensors/{file}": file for file in files}, catalog)


def _documents(
    model: Artifact,
    origin: UpstreamModel,
    config_from: str,
    described: Mapping[str, object],
    catalog: Catalog,
    adapter: Mapping[str, object] | None = None,
) -> list[Artifact]:
    """The documents beside the checkpoint `model`: config, certificate, adapter, metadata, card.

    `origin` is the entry that it was fetched by, or its base was. `described` is what metadata.json
    repeats of the catalog, `adapter` what only meta_adapter.yaml does.
    """

    def document(
        kind: Kind,
        part: str,
        inputs: Iterable[str],
        *paths: str,
        settings: Mapping[str, object] | None = None,
    ) -> Artifact:
        return Artifact(
            model_artifact(model.owner, part),
            kind,
            model.owner,
            model.group,
            inputs=tuple(inputs),
            status=model.status,
            links=_links(model.owner, {path: path.rpartition("/")[2] for path in paths}, catalog),
            settings=settings or {},
        )

    known = layout_named(origin.layout)
    stated = origin.max_position_embeddings
    # Only where it is given: the digest of what was made without it stays what it was.
    positions = {} if stated is None else {"max_position_embeddings": stated}
    config = document(
        Kind.CONFIG,
        "config",
        dict.fromkeys((config_from, model.name)),
        *(f"configs/{file}" for file in known.config_files),
        settings={"layout": origin.layout, **positions},
    )
    certificate = document(Kind.CERTIFICATE, "certificate", [model.name], "certificate.json")
    made = [config, certificate]
    if known.has_adapter:
        inputs = [config.name, model.name]
        path, settings = "configs/meta_adapter.yaml", {**positions, **(adapter or {})}
        made.append(document(Kind.ADAPTER, "adapter", inputs, path, settings=settings))
    members = [model.name, *(one.name for one in made), tokenizer_of(catalog, model.owner)]
    metadata = document(
        Kind.MODEL_METADATA,
        "metadata",
        members,
        "metadata.json",
        settings={
            **described,
            "files": _files_of([model, *made], deciding_file(catalog, model.owner)),
        },
    )
    card = document(
        Kind.MODEL_CARD,
        "card",
        [metadata.name],
        "README.md",
        settings={
            **sample_mark(catalog),
            "folder": model_folders(catalog, model.owner)[0],
            "terms": terms_of(catalog, model.owner).to_json(),
        },
    )
    return [*made, metadata, card]


_ROLES = {"model": "checkpoint", "SHA256SUMS": "checksums", "meta_adapter": "adapter"}


def _files_of(made: Iterable[Artifact], tokenizer: str) -> dict[str, str]:
    """The files of a model for metadata.json: their paths in its folder, by what each is."""
    paths = [PurePosixPath(link) for artifact in made for link in artifact.links]
    files = {_ROLES.get(path.stem, path.stem): "/".join(path.parts[2:]) for path in paths}
    return {**files, "tokenizer": f"tokenizer/{tokenizer}"}
