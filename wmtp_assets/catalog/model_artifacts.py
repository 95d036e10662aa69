"""The artifacts of models: the shared tokenizer, checkpoints, and the documents beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wmtp_assets.catalog.artifact import (
    TOKENIZER,
    TOKENIZER_RAW,
    Artifact,
    Kind,
    group_of,
    model_artifact,
)
from wmtp_assets.catalog.fetched_artifacts import raw_artifact, sample_mark
from wmtp_assets.catalog.schema import Catalog, MicroModel, UpstreamModel
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.generations import model_folder


def tokenizer_artifacts(catalog: Catalog) -> list[Artifact]:
    """The shared tokenizer, with a fetch of its own: datasets need it, and no 27 GB beside it."""
    shared = catalog.tokenizer
    model = catalog.upstream_models()[shared.from_model]
    files = [model.files.tokenizer] if model.files.tokenizer else []
    raw = raw_artifact(
        TOKENIZER_RAW, shared.from_model, "tokenizer", model.upstream, files, "required"
    )
    made = Artifact(
        TOKENIZER,
        Kind.TOKENIZER,
        shared.from_model,
        "tokenizer",
        inputs=(raw.name,),
        settings={"vocab_size": shared.vocab_size},
    )
    return [raw, made]


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
            inputs=(raw,),
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
    }
    made += _documents(made[1], model.layout, raw, described, catalog)
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
    }
    return [checkpoint, *_documents(checkpoint, base.layout, weights, described, catalog)]


def _links(model: str, files: Mapping[str, str], catalog: Catalog) -> dict[str, str]:
    """Files of a model under the paths of every generation: `files` are the artifact's, by their
    places in the model's folder."""
    folders = [model_folder(contract, model) for contract in catalog.contract]
    return {f"{folder}/{path}": file for folder in folders for path, file in files.items()}


def _checkpoint_links(name: str, catalog: Catalog) -> dict[str, str]:
    files = ("model.safetensors", "SHA256SUMS")
    return _links(name, {f"safetensors/{file}": file for file in files}, catalog)


def _documents(
    model: Artifact,
    layout: str,
    config_from: str,
    described: Mapping[str, object],
    catalog: Catalog,
) -> list[Artifact]:
    """The documents beside the checkpoint `model`: config, certificate, adapter, metadata."""

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

    known = layout_named(layout)
    config = document(
        Kind.CONFIG,
        "config",
        dict.fromkeys((config_from, model.name)),
        *(f"configs/{file}" for file in known.config_files),
        settings={"layout": layout},
    )
    certificate = document(Kind.CERTIFICATE, "certificate", [model.name], "certificate.json")
    made = [config, certificate]
    if known.has_adapter:
        inputs = [config.name, model.name]
        made.append(document(Kind.ADAPTER, "adapter", inputs, "configs/meta_adapter.yaml"))
    members = [model.name, *(one.name for one in made), TOKENIZER]
    metadata = document(
        Kind.MODEL_METADATA, "metadata", members, "metadata.json", settings=described
    )
    return [*made, metadata]
