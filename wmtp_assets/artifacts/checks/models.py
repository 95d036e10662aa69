"""The answers on models: checkpoint, certificate, tokenizer and documents."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.inputs import place, source
from wmtp_assets.artifacts.checks.table import (
    CERTIFICATE,
    OF_SOURCE,
    WAIVED,
    own_tokenizer,
    waiver_of,
)
from wmtp_assets.artifacts.conversion import conversion_plan, slice_plan, upstream_config
from wmtp_assets.artifacts.documents import certificate_of
from wmtp_assets.artifacts.released_weights import released
from wmtp_assets.artifacts.types import SETTLED, Checkpoint, Document, Tokenizer
from wmtp_assets.catalog import MicroModel
from wmtp_assets.catalog.artifacts import TOKENIZER, Artifact, Kind, model_artifact
from wmtp_assets.catalog.contract import layout_of
from wmtp_assets.checkpoints.checks import ExpectedCheckpoint, check_checkpoint
from wmtp_assets.checkpoints.configs import (
    MTP,
    REWARD,
    check_configs,
    derived_config,
    sizes_of,
)
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.planning import Plan
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.sharded import check_sharded
from wmtp_assets.checkpoints.slicing import SlicePlan
from wmtp_assets.checkpoints.tokenizers import check_same_tokenizer, check_tokenizer
from wmtp_assets.checkpoints.verification import verify_certificate
from wmtp_assets.checkpoints.vocabulary import check_vocabulary
from wmtp_assets.findings import Finding
from wmtp_assets.mtp.checks import check_causal_lm, check_mtp, check_reward_model
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.errors import StorageError


def expected_of(project: Project, artifact: Artifact) -> tuple[ExpectedCheckpoint, Plan | None]:
    """What catalog and config say of a checkpoint, and the plan that made it.

    There is no plan where the weights that it reads were let go.
    """
    plan: Plan | None
    layout = layout_of(project.catalog, artifact.owner)
    model = project.catalog.models[artifact.owner]
    waived = waiver_of(project, artifact.owner)
    inherited: frozenset[str] = frozenset()
    source_dtypes = None
    if isinstance(model, MicroModel):
        sliced = _slice(project, artifact, model)
        plan, config = sliced.plan, sliced.config
        inherited = frozenset(t.spec.name for t in sliced.plan.tensors if t.source.name in waived)
        waived = frozenset()
        dtype = project.catalog.upstream_models()[model.slice_of].dtype
    else:
        raw = source(project, artifact.inputs[0])
        plan = None if raw.lost() else conversion_plan(model, raw)
        made = Checkpoint(*place(project, artifact.name))
        settled = made.settled()["config"] if plan is None else plan.settled
        config, dtype = {**upstream_config(model, raw), **settled}, model.dtype
        others = {name: DType(other) for name, other in model.source_dtype_of.items()}
        source_dtypes = (DType(model.source_dtype), others)
    expected = ExpectedCheckpoint(
        layout=layout,
        config=config,
        dtype=DType(dtype),
        parameters=model.expected.parameters,
        tensors=model.expected.tensors,
        max_bytes=model.max_bytes if isinstance(model, MicroModel) else None,
        waived=waived,
        inherited=inherited,
        source_dtypes=source_dtypes,
    )
    return expected, plan


def _slice(project: Project, artifact: Artifact, model: MicroModel) -> SlicePlan:
    """How a micro model is cut from its base as it is now."""
    origin = Checkpoint(*place(project, artifact.inputs[0]))
    base_config = Document(*place(project, artifact.inputs[1])).value()
    return slice_plan(model, layout_of(project.catalog, artifact.owner), origin, base_config)


def check_model_checkpoint(
    project: Project, artifact: Artifact, seed: int | None = None
) -> Iterable[Finding]:
    checkpoint = Checkpoint(*place(project, artifact.name))
    expected, plan = expected_of(project, artifact)
    layout, config = expected.layout, dict(expected.config)
    certificate = certificate_of(checkpoint)
    findings = check_checkpoint(checkpoint.folder, expected, certificate, plan, seed)
    if plan is None:
        findings += _as_released(project, artifact)
    yield from _with_records(project, artifact, checkpoint, plan, findings)
    finite = all(f.passed for f in findings if f.name == WAIVED.name)
    with tempfile.TemporaryDirectory(prefix="wmtp-proof-") as folder:
        document = Path(folder) / "config.json"
        if layout != MTP:
            config = derived_config(layout, config, read_header(checkpoint.path))
        document.write_text(json.dumps(config), encoding="utf-8")
        loads = check_mtp if layout == MTP else check_causal_lm
        check_loads = check_reward_model if layout == REWARD else loads
        yield from check_loads(checkpoint.path, document, finite=finite)


def _as_released(project: Project, artifact: Artifact) -> list[Finding]:
    """The answers about a source that was let go after the checkpoint was compared with it."""
    gone = released(project, artifact.inputs[0])
    if gone is None:  # there was a record when this was asked first
        raise StorageError(
            "The record of released weights changed while it was read",
            where=project.store.path(artifact.name),
            hint=f"wmtp materialize {artifact.inputs[0]}",
        )
    return [
        Finding(
            name,
            passed=True,
            expected="the checkpoint whose every value was compared before its source was let go",
            found=f"that one, by its digest {gone.checkpoint}; let go at {gone.at}",
            where=str(project.store.path(artifact.name)),
        )
        for name in OF_SOURCE
    ]


def _with_records(
    project: Project,
    artifact: Artifact,
    checkpoint: Checkpoint,
    plan: Plan | None,
    findings: list[Finding],
) -> Iterable[Finding]:
    """The findings, that on the certificate with what other records say otherwise than the source:
    what was taken of a slice's base, and what the tensors settled of upstream's config."""
    model = project.catalog.models[artifact.owner]
    wanted: dict[str, bytes] = {}
    if isinstance(model, MicroModel):
        sliced = _slice(project, artifact, model)
        wanted["slice.json"] = json_bytes({"config": sliced.config, "taken": sliced.taken})
    elif plan is not None and plan.settled:
        settled = {"config": dict(plan.settled), "evidence": dict(plan.evidence)}
        wanted[SETTLED] = json_bytes(settled)
    there = checkpoint.receipt.files.keys() & {"slice.json", SETTLED}
    wrong = sorted(there ^ wanted.keys())
    wrong += [
        name
        for name in sorted(there & wanted.keys())
        if (checkpoint.folder / name).read_bytes() != wanted[name]
    ]
    for finding in findings:
        asked = finding.name == "certificate_describes_source" and plan is not None
        if asked and finding.passed and wrong:
            found = f"{', '.join(wrong)}: otherwise than the source and the catalog give"
            yield replace(finding, passed=False, found=found, where=str(checkpoint.folder))
        else:
            yield finding


def check_certificate(project: Project, artifact: Artifact) -> Finding:
    document = Document(*place(project, artifact.name))
    checkpoint = Checkpoint(*place(project, artifact.inputs[0]))
    recorded = checkpoint.receipt.files["model.safetensors"].sha256
    certified = str(document.value().get("target_sha256"))
    same = document.path.read_bytes() == checkpoint.certificate.read_bytes()
    return Finding(
        CERTIFICATE.name,
        same and certified == recorded,
        recorded,
        certified if same else "another certificate than the conversion wrote",
        str(document.path),
        hint="" if same else f"wmtp materialize {artifact.name} --force",
    )


def check_converted_again(project: Project, artifact: Artifact) -> list[Finding]:
    """Converts the checkpoint's source again, in memory, and compares every tensor's digests with
    the certificate, and the certificate with the file.

    Raises WmtpError where there is nothing to compare with.
    """
    checkpoint = Checkpoint(*place(project, artifact.name))
    _, plan = expected_of(project, artifact)
    if plan is None:
        raise StorageError(
            "The fetched weights were let go, so there is nothing to compare with",
            where=project.store.upstream,
            hint=f"wmtp materialize {artifact.inputs[0]} --force",
        )
    return verify_certificate(certificate_of(checkpoint), checkpoint.path, against=plan)


def check_shards(project: Project, artifact: Artifact) -> Finding:
    """Whether the sharded view holds the checkpoint's tensors, by their certified digests."""
    folder, _ = place(project, artifact.name)
    checkpoint = Checkpoint(*place(project, artifact.inputs[0]))
    certificate = certificate_of(checkpoint)
    config = Document(*place(project, artifact.inputs[1]))
    return check_sharded(
        checkpoint.path,
        folder / "sharded",
        certificate,
        shard_bytes=int(str(artifact.settings["shard_bytes"])),
        beside={"config.json": config.path.read_bytes()},
    )


def check_shared_tokenizer(project: Project, artifact: Artifact) -> list[Finding]:
    # Where the catalog states no digest, that of the file that was fetched has to do.
    (record,) = source(project, artifact.inputs[0]).files().values()
    file = project.catalog.upstream_models()[project.catalog.tokenizer.from_model].files.tokenizer
    return check_tokenizer(
        project.store.path(artifact.name),
        vocab_size=project.catalog.tokenizer.vocab_size,
        sha256=(file.sha256 if file else None) or str(record["sha256"]),
    )


def check_documents(project: Project, artifact: Artifact) -> Iterable[Finding]:
    layout, owner = layout_of(project.catalog, artifact.owner), artifact.owner
    document = Document(*place(project, artifact.name)).path
    config = Document(*place(project, model_artifact(owner, "config"))).path
    findings = check_configs(
        layout,
        weights=Checkpoint(*place(project, model_artifact(owner))).path,
        config=config,
        adapter=document if artifact.kind is Kind.ADAPTER else None,
        metadata=document if artifact.kind is Kind.MODEL_METADATA else None,
    )
    # The config's own finding comes first and belongs to the config alone.
    yield findings[0 if artifact.kind is Kind.CONFIG else 1]
    if artifact.kind is Kind.MODEL_METADATA:
        checkpoint = Checkpoint(*place(project, model_artifact(owner)))
        yield check_vocabulary(
            Tokenizer(*place(project, TOKENIZER)).model,
            Document(*place(project, model_artifact(owner, "config"))).value(),
            sizes_of(layout, read_header(checkpoint.path))["vocab_size"],
        )
    own = own_tokenizer(project, artifact)
    if artifact.kind is Kind.MODEL_METADATA and own is not None:
        raw = source(project, model_artifact(owner, "raw"))
        shared = Tokenizer(*place(project, TOKENIZER))
        yield check_same_tokenizer(shared.model, raw.paths()[own])
