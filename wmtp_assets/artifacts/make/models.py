"""Models: tokenizers, checkpoints, and the documents beside them."""

from __future__ import annotations

from collections.abc import Mapping

from wmtp_assets.artifacts.conversion import conversion_plan, slice_plan, upstream_config
from wmtp_assets.artifacts.documents import (
    adapter_files,
    certificate_files,
    config_files,
    metadata_files,
    tokenizer_files,
)
from wmtp_assets.artifacts.facts import Ends, ends_as_facts, of_conversion
from wmtp_assets.artifacts.make.task import Made, Task
from wmtp_assets.artifacts.tokenizer_source import TokenizerSource
from wmtp_assets.artifacts.types import SETTLED, Checkpoint, Document, Fetched, Tokenizer
from wmtp_assets.catalog import MicroModel, UpstreamModel
from wmtp_assets.catalog.artifacts import TOKENIZER, Artifact
from wmtp_assets.catalog.contract import described, layout_of
from wmtp_assets.catalog.tokenizers import origin_of, stated_size, tokenizer_of
from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.convert import convert
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.checkpoints.planning import Plan, require_stated
from wmtp_assets.checkpoints.sharded import write_sharded
from wmtp_assets.checkpoints.vocabulary import require_rows, require_vocabulary
from wmtp_assets.progress import following
from wmtp_assets.storage import disk
from wmtp_assets.storage.atomic import write_bytes, write_json
from wmtp_assets.storage.digests import write_sha256sums
from wmtp_assets.storage.preflight import require_space


def write_tokenizer(task: Task) -> Made:
    """A tokenizer's files. Raises TokenizerError, VocabularyError."""
    raw = task.input(task.artifact.inputs[0], Fetched)
    origin = task.artifact.owner
    model = task.project.catalog.upstream_models()[origin]
    files = tokenizer_files(raw, origin, model, stated_size(task.artifact))
    return Made(files.write(task.folder))


def make_checkpoint(task: Task) -> Made:
    """model.safetensors, SHA256SUMS and the certificate: converted, or sliced from another model.

    Raises CheckpointError.
    """
    model = task.project.catalog.models[task.artifact.owner]
    if isinstance(model, MicroModel):
        return _slice(task, model)
    return _convert(task, model)


def _convert(task: Task, model: UpstreamModel) -> Made:
    owner, folder = task.artifact.owner, task.folder
    plan = conversion_plan(model, task.input(task.artifact.inputs[0], Fetched))
    require_stated(plan, model.source_dtype, model.source_dtype_of)
    for warning in plan.warnings:
        task.log.warning(f"{model.upstream.repository}: {warning}")
    _require_tokenizer(task, model, plan)  # before hours, not after
    require_space(folder, plan.target_size, f"Converting {owner}")
    ends: Ends = {}
    with following(task.artifact.name, plan.target_size, task.log.info) as at:
        target = folder / "model.safetensors"
        certificate = convert(plan, target, lambda done, _: at(done), ends=ends)
    if plan.settled:
        settled = {"config": dict(plan.settled), "evidence": dict(plan.evidence)}
        write_json(folder / SETTLED, settled)
    return _write_records(task, certificate, ends)


def _require_tokenizer(task: Task, model: UpstreamModel, plan: Plan) -> None:
    """VocabularyError where the model is about to get another's tokenizer."""
    catalog, owner = task.project.catalog, task.artifact.owner
    if tokenizer_of(catalog, owner) == TOKENIZER:
        require_rows(plan.vocabulary, catalog.tokenizer.vocab_size, owner)
        return
    raw, tokenizer = (task.input(name, Fetched) for name in task.artifact.inputs)
    origin = catalog.upstream_models()[origin_of(catalog, owner)]
    stated = {**upstream_config(model, raw), **plan.settled}
    config = layout_named(model.layout).settled(stated)
    opened = TokenizerSource.of(tokenizer, origin).opened
    require_vocabulary(opened, config, plan.vocabulary, owner)


def _slice(task: Task, micro: MicroModel) -> Made:
    base, config = task.artifact.inputs
    layout = layout_of(task.project.catalog, task.artifact.owner)
    sliced = slice_plan(
        micro, layout, task.input(base, Checkpoint), task.input(config, Document).value()
    )
    ends: Ends = {}
    certificate = convert(sliced.plan, task.folder / "model.safetensors", ends=ends)
    write_json(task.folder / "slice.json", {"config": sliced.config, "taken": sliced.taken})
    return _write_records(task, certificate, ends)


def _write_records(task: Task, certificate: Certificate, ends: Ends) -> Made:
    """SHA256SUMS and the certificate beside a new checkpoint; the facts that the page shows."""
    digests = {"model.safetensors": certificate.target_sha256}
    write_sha256sums(task.folder / "SHA256SUMS", digests)
    write_json(task.folder / "certificate.json", certificate.to_json())
    facts = of_conversion(certificate, certificate.parameters, len(certificate.tensors))
    return Made({**facts, **ends_as_facts(ends)}, digests)


def write_config(task: Task) -> Made:
    """The config documents that the layout writes. Raises LayoutError, ConfigError."""
    owner, catalog = task.artifact.owner, task.project.catalog
    model = catalog.models[owner]
    checkpoint = task.input(task.artifact.inputs[-1], Checkpoint)
    upstream: Mapping[str, object]
    if isinstance(model, MicroModel):
        upstream = checkpoint.slice()["config"]
    else:
        upstream = upstream_config(model, task.input(task.artifact.inputs[0], Fetched))
    files = config_files(
        layout_of(catalog, owner), described(catalog, owner), dict(upstream), checkpoint
    )
    return Made(files.write(task.folder))


def write_shards(task: Task) -> Made:
    """The checkpoint's tensors as shards with an index, and the config beside them."""
    checkpoint, config = task.artifact.inputs
    shard_bytes = int(str(task.artifact.settings["shard_bytes"]))
    folder = task.folder / "sharded"
    disk.mkdir(folder)
    view = write_sharded(task.input(checkpoint, Checkpoint).path, folder, shard_bytes)
    write_bytes(folder / "config.json", task.input(config, Document).path.read_bytes())
    digests = {f"sharded/{name}": digest for name, digest in view.files.items()}
    return Made({"shards": len(view.files)}, digests)


def write_certificate(task: Task) -> Made:
    """The certificate as a document of its own."""
    checkpoint = task.input(task.artifact.inputs[0], Checkpoint)
    return Made(certificate_files(checkpoint).write(task.folder))


def write_adapter(task: Task) -> Made:
    """meta_adapter.yaml. Raises ConfigError."""
    config, checkpoint = task.artifact.inputs
    owner, catalog = task.artifact.owner, task.project.catalog
    files = adapter_files(
        layout_of(catalog, owner),
        described(catalog, owner),
        task.input(config, Document),
        task.input(checkpoint, Checkpoint),
    )
    return Made(files.write(task.folder))


def metadata_inputs(artifact: Artifact) -> tuple[str, ...]:
    """The inputs that metadata.json is made from: checkpoint, config and tokenizer."""
    return (*artifact.inputs[:2], artifact.inputs[-1])


def write_metadata(task: Task) -> Made:
    """metadata.json. Raises ConfigError, VocabularyError."""
    owner, catalog = task.artifact.owner, task.project.catalog
    checkpoint, config, tokenizer = metadata_inputs(task.artifact)
    files = metadata_files(
        task.artifact,
        layout_of(catalog, owner),
        catalog.models[owner],
        task.input(checkpoint, Checkpoint),
        task.input(config, Document),
        task.input(tokenizer, Tokenizer),
    )
    return Made(files.write(task.folder))
