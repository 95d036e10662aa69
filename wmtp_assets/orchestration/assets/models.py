"""The models as assets: a checkpoint each, converted or sliced, and the documents beside it.

What happens to the bytes is in `checkpoints/`; here is only what is made from what.
"""

from pathlib import Path

import dagster as dg

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.conversion import conversion_plan, slice_plan, upstream_config
from wmtp_assets.artifacts.documents import (
    adapter_files,
    certificate_files,
    config_files,
    metadata_files,
    tokenizer_files,
)
from wmtp_assets.artifacts.types import SETTLED, Checkpoint, Document, Fetched, Tokenizer
from wmtp_assets.catalog import MicroModel, UpstreamModel
from wmtp_assets.catalog.artifacts import TOKENIZER, TOKENIZER_RAW, Artifact, Kind, model_artifact
from wmtp_assets.catalog.contract import layout_of
from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.convert import convert
from wmtp_assets.checkpoints.planning import require_stated
from wmtp_assets.checkpoints.sharded import write_sharded
from wmtp_assets.checkpoints.vocabulary import require_rows
from wmtp_assets.orchestration.assets.common import Made, Result, asset_arguments, make
from wmtp_assets.orchestration.resources import StorageResource
from wmtp_assets.storage import disk
from wmtp_assets.storage.atomic import write_bytes, write_json
from wmtp_assets.storage.digests import write_sha256sums
from wmtp_assets.storage.preflight import require_space


def model_assets(project: Project) -> list[dg.AssetsDefinition]:
    """The shared tokenizer, and for every model of the catalog its checkpoint and documents."""
    makers = {
        Kind.TOKENIZER: _tokenizer,
        Kind.CONFIG: _config,
        Kind.CERTIFICATE: _certificate,
        Kind.SHARDS: _shards,
        Kind.ADAPTER: _adapter,
        Kind.MODEL_METADATA: _metadata,
    }
    made = []
    for artifact in project.artifacts.values():
        if artifact.kind is Kind.CHECKPOINT:
            model = project.catalog.models[artifact.owner]
            if isinstance(model, MicroModel):
                made.append(_sliced(artifact, model, project))
            else:
                made.append(_converted(artifact, model, project))
        elif artifact.kind in makers:
            made.append(makers[artifact.kind](artifact, project))
    return made


def _tokenizer(artifact: Artifact, project: Project) -> dg.AssetsDefinition:
    @dg.asset(
        **asset_arguments(
            artifact,
            "LLaMA's SentencePiece model, and the documents with which transformers' AutoTokenizer "
            "gives the same ids. Every model shares it.",
            ins={"raw": TOKENIZER_RAW},
        )
    )
    def tokenizer(
        context: dg.AssetExecutionContext, storage: dg.ResourceParam[StorageResource], raw: Fetched
    ) -> Result:
        def write(folder: Path) -> Made:
            return Made(tokenizer_files(raw, project.catalog.tokenizer.vocab_size).write(folder))

        return make(context, storage, artifact, [raw], write)

    return tokenizer


def _converted(artifact: Artifact, model: UpstreamModel, project: Project) -> dg.AssetsDefinition:
    @dg.asset(
        **asset_arguments(
            artifact,
            f"{model.upstream.repository} as one safetensors file, {model.source_dtype} to "
            f"{model.dtype}, each tensor once.",
            ins={"raw": model_artifact(artifact.owner, "raw")},
        )
    )
    def checkpoint(
        context: dg.AssetExecutionContext, storage: dg.ResourceParam[StorageResource], raw: Fetched
    ) -> Result:
        def write(folder: Path) -> Made:
            plan = conversion_plan(model, raw)
            require_stated(plan, model.source_dtype, model.source_dtype_of)
            for warning in plan.warnings:
                context.log.warning(f"{model.upstream.repository}: {warning}")
            pieces = project.catalog.tokenizer.vocab_size
            require_rows(plan.vocabulary, pieces, artifact.owner)  # before hours, not after
            require_space(folder, plan.target_size, f"Converting {artifact.owner}")
            certificate = convert(plan, folder / "model.safetensors")
            if plan.settled:
                settled = {"config": dict(plan.settled), "evidence": dict(plan.evidence)}
                write_json(folder / SETTLED, settled)
            return _write_records(folder, certificate)

        return make(context, storage, artifact, [raw], write)

    return checkpoint


def _sliced(artifact: Artifact, micro: MicroModel, project: Project) -> dg.AssetsDefinition:
    layout = layout_of(project.catalog, artifact.owner)

    @dg.asset(
        **asset_arguments(
            artifact,
            f"{micro.layers} layers of {micro.slice_of}, {micro.dim} wide, cut head by head: small "
            f"enough for {micro.target_device}.",
            ins={
                "base": model_artifact(micro.slice_of),
                "model_config": model_artifact(micro.slice_of, "config"),
            },
        )
    )
    def checkpoint(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[StorageResource],
        base: Checkpoint,
        model_config: Document,
    ) -> Result:
        def write(folder: Path) -> Made:
            sliced = slice_plan(micro, layout, base, model_config.value())
            certificate = convert(sliced.plan, folder / "model.safetensors")
            write_json(folder / "slice.json", {"config": sliced.config, "taken": sliced.taken})
            return _write_records(folder, certificate)

        return make(context, storage, artifact, [base, model_config], write)

    return checkpoint


def _write_records(folder: Path, certificate: Certificate) -> Made:
    """SHA256SUMS and the certificate beside a new checkpoint; the facts that the page shows."""
    write_sha256sums(folder / "SHA256SUMS", {"model.safetensors": certificate.target_sha256})
    write_json(folder / "certificate.json", certificate.to_json())
    facts = {
        "parameters": certificate.parameters,
        "tensors": len(certificate.tensors),
        "dtype": str(certificate.dtype),
        "dropped": len(certificate.dropped),
        **({"warnings": list(certificate.warnings)} if certificate.warnings else {}),
    }
    return Made(facts, {"model.safetensors": certificate.target_sha256})


def _config(artifact: Artifact, project: Project) -> dg.AssetsDefinition:
    layout = layout_of(project.catalog, artifact.owner)
    model = project.catalog.models[artifact.owner]
    description = (
        "The model's config: upstream's known settings, with sizes and dtype that the tensors show."
    )

    def write_into(folder: Path, upstream: dict[str, object], checkpoint: Checkpoint) -> Made:
        return Made(config_files(layout, upstream, checkpoint).write(folder))

    if isinstance(model, MicroModel):

        @dg.asset(**asset_arguments(artifact, description, ins={"checkpoint": artifact.inputs[0]}))
        def micro(
            context: dg.AssetExecutionContext,
            storage: dg.ResourceParam[StorageResource],
            checkpoint: Checkpoint,
        ) -> Result:
            def write(folder: Path) -> Made:
                return write_into(folder, checkpoint.slice()["config"], checkpoint)

            return make(context, storage, artifact, [checkpoint], write)

        return micro

    ins = dict(zip(("origin", "checkpoint"), artifact.inputs, strict=True))

    @dg.asset(**asset_arguments(artifact, description, ins=ins))
    def config(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[StorageResource],
        origin: Fetched,
        checkpoint: Checkpoint,
    ) -> Result:
        def write(folder: Path) -> Made:
            return write_into(folder, upstream_config(model, origin), checkpoint)

        return make(context, storage, artifact, [origin, checkpoint], write)

    return config


def _shards(artifact: Artifact, project: Project) -> dg.AssetsDefinition:
    shard_bytes = int(str(artifact.settings["shard_bytes"]))

    @dg.asset(
        **asset_arguments(
            artifact,
            f"The same tensors as shards of at most {shard_bytes:,} bytes with an index, for "
            "readers that want them so.",
            ins=dict(zip(("checkpoint", "model_config"), artifact.inputs, strict=True)),
        )
    )
    def shards(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[StorageResource],
        checkpoint: Checkpoint,
        model_config: Document,
    ) -> Result:
        def write(folder: Path) -> Made:
            sharded = folder / "sharded"
            disk.mkdir(sharded)
            view = write_sharded(checkpoint.path, sharded, shard_bytes)
            write_bytes(sharded / "config.json", model_config.path.read_bytes())
            digests = {f"sharded/{name}": digest for name, digest in view.files.items()}
            return Made({"shards": len(view.files)}, digests)

        return make(context, storage, artifact, [checkpoint, model_config], write)

    return shards


def _certificate(artifact: Artifact, project: Project) -> dg.AssetsDefinition:
    @dg.asset(
        **asset_arguments(
            artifact,
            "What came out of what, tensor by tensor: names, shapes, dtypes and SHA-256 before and "
            "after, the greatest cast error, and the reason for every entry left out.",
            ins={"checkpoint": artifact.inputs[0]},
        )
    )
    def certificate(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[StorageResource],
        checkpoint: Checkpoint,
    ) -> Result:
        def write(folder: Path) -> Made:
            return Made(certificate_files(checkpoint).write(folder))

        return make(context, storage, artifact, [checkpoint], write)

    return certificate


def _adapter(artifact: Artifact, project: Project) -> dg.AssetsDefinition:
    @dg.asset(
        **asset_arguments(
            artifact,
            "What training needs and params.json leaves unsaid, derived from it and the tensors.",
            ins=dict(zip(("model_config", "checkpoint"), artifact.inputs, strict=True)),
        )
    )
    def adapter(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[StorageResource],
        model_config: Document,
        checkpoint: Checkpoint,
    ) -> Result:
        def write(folder: Path) -> Made:
            return Made(adapter_files(model_config, checkpoint).write(folder))

        return make(context, storage, artifact, [model_config, checkpoint], write)

    return adapter


def _metadata(artifact: Artifact, project: Project) -> dg.AssetsDefinition:
    layout = layout_of(project.catalog, artifact.owner)
    model = project.catalog.models[artifact.owner]
    loaded = dict(zip(("checkpoint", "model_config"), artifact.inputs, strict=False))
    loaded["tokenizer"] = TOKENIZER

    @dg.asset(
        **asset_arguments(
            artifact,
            "What this model is: counts, dtype, digests, where it came from and what was done.",
            ins=loaded,
        )
    )
    def metadata(
        context: dg.AssetExecutionContext,
        storage: dg.ResourceParam[StorageResource],
        checkpoint: Checkpoint,
        model_config: Document,
        tokenizer: Tokenizer,
    ) -> Result:
        def write(folder: Path) -> Made:
            derived = metadata_files(artifact, layout, model, checkpoint, model_config, tokenizer)
            return Made(derived.write(folder))

        return make(context, storage, artifact, [checkpoint, model_config, tokenizer], write)

    return metadata
