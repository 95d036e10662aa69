"""The answers on models: checkpoint, certificate, tokenizer and documents."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

from wmtp_assets.catalog import MicroModel
from wmtp_assets.catalog.artifacts import TOKENIZER, Artifact, Kind, model_artifact
from wmtp_assets.catalog.contract import layout_of
from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.configs import (
    MTP,
    REWARD,
    derived_config,
    prove_configs,
    sizes_of,
)
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.planning import Plan
from wmtp_assets.checkpoints.proofs import ExpectedCheckpoint, prove_checkpoint
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.sharded import prove_sharded
from wmtp_assets.checkpoints.tokenizers import prove_same_tokenizer, prove_tokenizer
from wmtp_assets.checkpoints.verification import verify_certificate
from wmtp_assets.checkpoints.vocabulary import prove_vocabulary
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding
from wmtp_assets.mtp.proofs import prove_causal_lm, prove_mtp, prove_reward_model
from wmtp_assets.project import Project
from wmtp_assets.project.handles import Checkpoint, Document, Tokenizer
from wmtp_assets.project.plans import conversion_plan, slice_plan, upstream_config
from wmtp_assets.project.released import released
from wmtp_assets.proofs.places import place, source
from wmtp_assets.proofs.questions import CERTIFICATE, own_tokenizer
from wmtp_assets.storage.errors import StorageError


def expected_of(project: Project, artifact: Artifact) -> tuple[ExpectedCheckpoint, Plan | None]:
    """What catalog and config say of a checkpoint, and the plan that made it.

    There is no plan where the weights that it reads were let go.
    """
    plan: Plan | None
    layout = layout_of(project.catalog, artifact.owner)
    model = project.catalog.models[artifact.owner]
    if isinstance(model, MicroModel):
        origin = Checkpoint(*place(project, artifact.inputs[0]))
        base_config = Document(*place(project, artifact.inputs[1])).value()
        sliced = slice_plan(model, layout, origin, base_config)
        plan, config = sliced.plan, sliced.config
        dtype = project.catalog.upstream_models()[model.slice_of].dtype
    else:
        raw = source(project, artifact.inputs[0])
        plan = None if raw.lost() else conversion_plan(model, raw)
        made = Checkpoint(*place(project, artifact.name))
        settled = made.settled()["config"] if plan is None else plan.settled
        config, dtype = {**upstream_config(model, raw), **settled}, model.dtype
    expected = ExpectedCheckpoint(
        layout=layout,
        config=config,
        dtype=DType(dtype),
        parameters=model.expected.parameters,
        tensors=model.expected.tensors,
        max_bytes=model.max_bytes if isinstance(model, MicroModel) else None,
    )
    return expected, plan


def prove_model_checkpoint(project: Project, artifact: Artifact) -> Iterable[Finding]:
    checkpoint = Checkpoint(*place(project, artifact.name))
    expected, plan = expected_of(project, artifact)
    layout, config = expected.layout, dict(expected.config)
    certificate = Certificate.from_json(checkpoint.read("certificate.json"))
    yield from prove_checkpoint(checkpoint.folder, expected, certificate, plan)
    if plan is None:
        yield _samples_as_released(project, artifact)
    with tempfile.TemporaryDirectory(prefix="wmtp-proof-") as folder:
        document = Path(folder) / "config.json"
        if layout != MTP:
            config = derived_config(layout, config, read_header(checkpoint.path))
        document.write_text(json.dumps(config), encoding="utf-8")
        loads = prove_mtp if layout == MTP else prove_causal_lm
        yield from (prove_reward_model if layout == REWARD else loads)(checkpoint.path, document)


def _samples_as_released(project: Project, artifact: Artifact) -> Finding:
    gone = released(project, artifact.inputs[0])
    assert gone is not None  # noqa: S101 - else there would be a plan, or an error
    return Finding(
        "sampled_values_equal_source",
        passed=True,
        expected="the checkpoint whose every value was compared before its source was let go",
        found=f"that one, by its digest {gone.checkpoint}; let go at {gone.at}",
        where=str(project.store.path(artifact.name)),
    )


def prove_certificate(project: Project, artifact: Artifact) -> Finding:
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
        mend="" if same else f"wmtp materialize {artifact.name} --force",
    )


def prove_against_source(project: Project, artifact: Artifact) -> Finding:
    """Converts the checkpoint's source again, in memory, and compares every tensor's digests."""
    try:
        checkpoint = Checkpoint(*place(project, artifact.name))
        _, plan = expected_of(project, artifact)
        if plan is None:
            raise StorageError(
                "The fetched weights were let go, so there is nothing to compare with",
                where=project.store.upstream,
                mend=f"wmtp materialize {artifact.inputs[0]} --force",
            )
        certificate = Certificate.from_json(checkpoint.read("certificate.json"))
        findings = verify_certificate(certificate, checkpoint.path, against=plan)
    except (WmtpError, OSError) as error:
        findings = [
            Finding(
                "certificate_matches_source",
                passed=False,
                expected="every tensor as certified",
                found=str(error),
                where=str(project.store.upstream),
                mend=f"wmtp materialize {artifact.name} --force",
            )
        ]
    return findings[-1]


def prove_shards(project: Project, artifact: Artifact) -> Finding:
    """Whether the sharded view holds the checkpoint's tensors, by their certified digests."""
    folder, _ = place(project, artifact.name)
    checkpoint = Checkpoint(*place(project, artifact.inputs[0]))
    certificate = Certificate.from_json(checkpoint.read("certificate.json"))
    return prove_sharded(checkpoint.path, folder / "sharded", certificate)


def prove_shared_tokenizer(project: Project, artifact: Artifact) -> list[Finding]:
    shared = project.catalog.tokenizer
    file = project.catalog.upstream_models()[shared.from_model].files.tokenizer
    return prove_tokenizer(
        project.store.path(artifact.name),
        vocab_size=shared.vocab_size,
        sha256=file.sha256 if file else None,
    )


def prove_documents(project: Project, artifact: Artifact) -> Iterable[Finding]:
    layout, owner = layout_of(project.catalog, artifact.owner), artifact.owner
    document = Document(*place(project, artifact.name)).path
    config = Document(*place(project, model_artifact(owner, "config"))).path
    findings = prove_configs(
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
        yield prove_vocabulary(
            Tokenizer(*place(project, TOKENIZER)).model,
            Document(*place(project, model_artifact(owner, "config"))).value(),
            sizes_of(layout, read_header(checkpoint.path))["vocab_size"],
        )
    own = own_tokenizer(project, artifact)
    if artifact.kind is Kind.MODEL_METADATA and own is not None:
        raw = source(project, model_artifact(owner, "raw"))
        shared = Tokenizer(*place(project, TOKENIZER))
        yield prove_same_tokenizer(shared.model, raw.paths()[own])
