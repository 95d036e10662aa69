"""The checks of models: checkpoint, shards, certificate, tokenizer and documents."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.derived import (
    adapter_derived,
    config_derived,
    metadata_derived,
    tokenizer_derived,
)
from wmtp_assets.artifacts.checks.inputs import place, source
from wmtp_assets.artifacts.checks.subject import KindChecks, Subject, by
from wmtp_assets.artifacts.conversion import conversion_plan, slice_plan, upstream_config
from wmtp_assets.artifacts.documents import certificate_of
from wmtp_assets.artifacts.released_weights import released
from wmtp_assets.artifacts.types import SETTLED, Checkpoint, Document, Tokenizer
from wmtp_assets.catalog import MicroModel, UpstreamModel
from wmtp_assets.catalog.artifacts import TOKENIZER, Artifact, model_artifact
from wmtp_assets.catalog.contract import layout_of
from wmtp_assets.checkpoints import checks as checkpoints
from wmtp_assets.checkpoints import tokenizers
from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.checks import ExpectedCheckpoint, StoredCheckpoint
from wmtp_assets.checkpoints.configs import (
    check_configs,
    sizes_of,
)
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.checkpoints.planning import Plan
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.sharded import check_sharded
from wmtp_assets.checkpoints.slicing import SlicePlan
from wmtp_assets.checkpoints.tokenizers import StoredTokenizer, check_same_tokenizer
from wmtp_assets.checkpoints.verification import verify_certificate
from wmtp_assets.checkpoints.vocabulary import check_vocabulary
from wmtp_assets.findings import Check, Finding, Outcome, S, check, is_computed, lazy
from wmtp_assets.mtp import checks as executing
from wmtp_assets.mtp.checks import StoredModel
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.errors import StorageError

# One model in memory at a time, and torch and transformers have settings of the whole process.
_LOADING = threading.Lock()


class CheckpointSubject(Subject):
    """A checkpoint: the single file with its certificate, and what executing it tells."""

    @lazy
    def checkpoint(self) -> Checkpoint:
        """Its files."""
        return Checkpoint(self.folder, self.receipt)

    @lazy
    def made_by(self) -> tuple[ExpectedCheckpoint, Plan | None]:
        """What catalog and config say of it, and the plan that made it (None: its source is
        released)."""
        return _expected_of(self.project, self.artifact)

    @lazy
    def certificate(self) -> Certificate:
        """What its conversion certified."""
        return certificate_of(self.checkpoint)

    @lazy
    def stored(self) -> StoredCheckpoint:
        """Its file, compared with what is expected, certified, and at the source."""
        return StoredCheckpoint(
            self.folder,
            lambda: self.made_by[0],
            lambda: self.certificate,
            lambda: self.made_by[1],
            self.seed,
        )

    @lazy
    def model(self) -> StoredModel:
        """Its file as a model that is executed, by the config that its tensors and catalog give."""
        expected, _ = self.made_by
        layout = layout_named(expected.layout)
        # Waived infinities reach logits, scores and gradients.
        waived = bool(expected.waived | expected.inherited)
        finite = not waived or checkpoints.overflow_waived.of(self.stored).passed
        config = layout.stated(expected.config, self.stored.header)
        return StoredModel(self.stored.path, config, finite=finite)

    def digests(self) -> dict[str, str]:
        if not is_computed(self, "stored") or not is_computed(self.stored, "scan"):
            return {}
        return {self.stored.path.name: self.stored.scan.sha256}


def checkpoint_checks(project: Project, artifact: Artifact) -> list[Check[CheckpointSubject]]:
    """The checks of a checkpoint, beside those of every artifact."""
    network = layout_named(layout_of(project.catalog, artifact.owner)).network
    found = [*CHECKPOINT, *(_alone(one.on(_model)) for one in executing.CHECKS[network])]
    if isinstance(project.catalog.models[artifact.owner], MicroModel):
        found.append(MICRO_SIZE)
    else:
        found.append(_SOURCE_DTYPE)
    if _waiver_of(project, artifact.owner):
        found.append(checkpoints.overflow_waived.on(_stored))
    return found


def _stored(subject: CheckpointSubject) -> StoredCheckpoint:
    return subject.stored


def _model(subject: CheckpointSubject) -> StoredModel:
    return subject.model


def _alone(one: Check[S]) -> Check[S]:
    """The check, for which others that load something wait, and it for them."""

    def compute(subject: S) -> Outcome | Finding:
        with _LOADING:
            return one.compute(subject)

    return replace(one, compute=compute)


def _of_source(one: Check[StoredCheckpoint]) -> Check[CheckpointSubject]:
    """The check, which a released source has passed."""

    def compute(subject: CheckpointSubject) -> Outcome | Finding:
        _, plan = subject.made_by
        return _as_released(subject) if plan is None else one.compute(subject.stored)

    return Check(one.name, one.description, compute, one.blocking)


def _as_released(subject: CheckpointSubject) -> Outcome:
    """The outcome about a source that was released after the checkpoint was compared with it."""
    project, artifact = subject.project, subject.artifact
    gone = released(project, artifact.inputs[0])
    if gone is None:  # there was a record when this was asked first
        raise StorageError(
            "The record of released weights changed while it was read",
            where=project.store.path(artifact.name),
            hint=f"wmtp materialize {artifact.inputs[0]}",
        )
    return Outcome(
        passed=True,
        expected="the checkpoint whose every value was compared before its source was released",
        found=f"that one, by its digest {gone.checkpoint}; released at {gone.at}",
        where=str(project.store.path(artifact.name)),
    )


def _with_records(one: Check[CheckpointSubject]) -> Check[CheckpointSubject]:
    """The check, with what records beside the certificate say otherwise than the source: what was
    taken of a slice's base, and what the tensors settled of upstream's config."""

    def compute(subject: CheckpointSubject) -> Outcome | Finding:
        found = one.compute(subject)
        wrong = _wrong_records(subject) if found.passed else []
        if not wrong:
            return found
        text = f"{', '.join(wrong)}: otherwise than the source and the catalog give"
        return replace(found, passed=False, found=text, where=str(subject.folder))

    return replace(one, compute=compute)


def _wrong_records(subject: CheckpointSubject) -> list[str]:
    project, artifact, (_, plan) = subject.project, subject.artifact, subject.made_by
    if plan is None:
        return []
    model = project.catalog.models[artifact.owner]
    wanted: dict[str, bytes] = {}
    if isinstance(model, MicroModel):
        sliced = _slice(project, artifact, model)
        wanted["slice.json"] = json_bytes({"config": sliced.config, "taken": sliced.taken})
    elif plan.settled:
        settled = {"config": dict(plan.settled), "evidence": dict(plan.evidence)}
        wanted[SETTLED] = json_bytes(settled)
    there = subject.receipt.files.keys() & {"slice.json", SETTLED}
    wrong = sorted(there ^ wanted.keys())
    return wrong + [
        name
        for name in sorted(there & wanted.keys())
        if (subject.folder / name).read_bytes() != wanted[name]
    ]


CHECKPOINT: tuple[Check[CheckpointSubject], ...] = (
    checkpoints.safetensors_readable.on(_stored),
    checkpoints.sha256sums_recomputed.on(_stored),
    checkpoints.dtype_of_every_tensor.on(_stored),
    checkpoints.names_and_shapes.on(_stored),
    checkpoints.tensor_count.on(_stored),
    checkpoints.parameter_count.on(_stored),
    checkpoints.finite_values.on(_stored),
    checkpoints.certificate_matches_target.on(_stored),
    _of_source(checkpoints.sampled_values_equal_source),
    _of_source(checkpoints.values_survive_cast),
    _with_records(_of_source(checkpoints.certificate_describes_source)),
)
MICRO_SIZE: Check[CheckpointSubject] = checkpoints.file_size_within_limit.on(_stored)
_SOURCE_DTYPE = _of_source(checkpoints.source_dtype_stated)


def _waiver_of(project: Project, owner: str) -> frozenset[str]:
    """The tensors for which the catalog waives overflow: a model's, or those of a slice's base."""
    model = project.catalog.models[owner]
    base = project.catalog.models[model.slice_of] if isinstance(model, MicroModel) else model
    return frozenset(base.waive_overflow) if isinstance(base, UpstreamModel) else frozenset()


def _expected_of(project: Project, artifact: Artifact) -> tuple[ExpectedCheckpoint, Plan | None]:
    """What catalog and config say of a checkpoint, and the plan that made it.

    There is no plan where the weights that it reads are released.
    """
    plan: Plan | None
    layout = layout_of(project.catalog, artifact.owner)
    model = project.catalog.models[artifact.owner]
    waived = _waiver_of(project, artifact.owner)
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


class ShardsSubject(Subject):
    """The sharded view of a checkpoint."""

    @lazy
    def compared(self) -> tuple[Finding, dict[str, str]]:
        """What comparing its tensors with the checkpoint's certified digests finds, and the SHA-256
        of each shard."""
        checkpoint = Checkpoint(*self.place(self.artifact.inputs[0]))
        config = Document(*self.place(self.artifact.inputs[1]))
        digests: dict[str, str] = {}
        finding = check_sharded(
            checkpoint.path,
            self.folder / "sharded",
            certificate_of(checkpoint),
            shard_bytes=int(str(self.artifact.settings["shard_bytes"])),
            beside={"config.json": config.path.read_bytes()},
            digests=digests,
        )
        return finding, digests

    def digests(self) -> dict[str, str]:
        read = self.compared[1] if is_computed(self, "compared") else {}
        return {f"sharded/{name}": digest for name, digest in read.items()}


def shards_checks(project: Project, artifact: Artifact) -> list[Check[ShardsSubject]]:
    """The checks of a sharded view, beside those of every artifact."""
    return [shards_equal_checkpoint]


@check("The shards hold the single file's tensors, bit for bit.")
def shards_equal_checkpoint(subject: ShardsSubject) -> Finding:
    return subject.compared[0]


def certificate_checks(project: Project, artifact: Artifact) -> list[Check[Subject]]:
    """The checks of a published certificate, beside those of every artifact."""
    return [certificate_of_checkpoint]


@check("It certifies the checkpoint that is stored.")
def certificate_of_checkpoint(subject: Subject) -> Outcome:
    document = Document(subject.folder, subject.receipt)
    checkpoint = Checkpoint(*subject.place(subject.artifact.inputs[0]))
    recorded = checkpoint.receipt.files["model.safetensors"].sha256
    certified = str(document.value().get("target_sha256"))
    same = document.path.read_bytes() == checkpoint.certificate.read_bytes()
    return Outcome(
        same and certified == recorded,
        recorded,
        certified if same else "another certificate than the conversion wrote",
        str(document.path),
        hint="" if same else f"wmtp materialize {subject.artifact.name} --force",
    )


class TokenizerSubject(Subject):
    """The shared tokenizer."""

    @lazy
    def stored(self) -> StoredTokenizer:
        """Its files, and what the catalog expects of them."""
        catalog = self.project.catalog
        # Where the catalog states no digest, that of the file that was fetched has to do.
        (record,) = source(self.project, self.artifact.inputs[0]).files().values()
        file = catalog.upstream_models()[catalog.tokenizer.from_model].files.tokenizer
        return StoredTokenizer(
            self.folder,
            vocab_size=catalog.tokenizer.vocab_size,
            sha256=(file.sha256 if file else None) or str(record["sha256"]),
        )


def tokenizer_checks(project: Project, artifact: Artifact) -> list[Check[Any]]:
    """The checks of the shared tokenizer, beside those of every artifact."""
    own = [_alone(one.on(_stored_tokenizer)) for one in tokenizers.CHECKS]
    return [*own, tokenizer_derived]


def _stored_tokenizer(subject: TokenizerSubject) -> StoredTokenizer:
    return subject.stored


class DocumentSubject(Subject):
    """A config, adapter or metadata document of a model."""

    @lazy
    def layout(self) -> str:
        """The model's layout."""
        return layout_of(self.project.catalog, self.artifact.owner)

    @lazy
    def config(self) -> Document:
        """The model's config (params.json or config.json)."""
        return Document(*self.place(model_artifact(self.artifact.owner, "config")))

    @lazy
    def checkpoint(self) -> Checkpoint:
        """The model's checkpoint."""
        return Checkpoint(*self.place(model_artifact(self.artifact.owner)))

    @property
    def document(self) -> Path:
        """The document."""
        return Document(self.folder, self.receipt).path

    def agrees(self, adapter: Path | None = None, metadata: Path | None = None) -> list[Finding]:
        """Whether config, adapter and metadata agree with the tensors: a finding of each."""
        return check_configs(
            self.layout,
            weights=self.checkpoint.path,
            config=self.config.path,
            adapter=adapter,
            metadata=metadata,
        )


def config_checks(project: Project, artifact: Artifact) -> list[Check[Any]]:
    """The checks of a model's config, beside those of every artifact."""
    return [config_describes_tensors, config_derived]


def adapter_checks(project: Project, artifact: Artifact) -> list[Check[Any]]:
    """The checks of meta_adapter.yaml, beside those of every artifact."""
    return [meta_adapter_agrees, adapter_derived]


def metadata_checks(project: Project, artifact: Artifact) -> list[Check[Any]]:
    """The checks of metadata.json, beside those of every artifact."""
    own = [tokenizer_shared] if _own_tokenizer(project, artifact) is not None else []
    return [metadata_agrees, metadata_derived, tokenizer_fits_model, *own]


@check("The config states the sizes that the tensors have.")
def config_describes_tensors(subject: DocumentSubject) -> Finding:
    return subject.agrees()[0]


@check("meta_adapter.yaml says what params.json and tensors say.")
def meta_adapter_agrees(subject: DocumentSubject) -> Finding:
    return subject.agrees(adapter=subject.document)[1]


@check("metadata.json says what config and tensors say.")
def metadata_agrees(subject: DocumentSubject) -> Finding:
    return subject.agrees(metadata=subject.document)[1]


@check("The tokenizer has the embedding's size and the config's special ids.")
def tokenizer_fits_model(subject: DocumentSubject) -> Finding:
    return check_vocabulary(
        Tokenizer(*subject.place(TOKENIZER)).model,
        subject.config.value(),
        sizes_of(subject.layout, read_header(subject.checkpoint.path))["vocab_size"],
    )


@check("The model's own tokenizer upstream is the shared one.")
def tokenizer_shared(subject: DocumentSubject) -> Finding:
    project, artifact = subject.project, subject.artifact
    raw = source(project, model_artifact(artifact.owner, "raw"))
    shared = Tokenizer(*subject.place(TOKENIZER))
    return check_same_tokenizer(shared.model, raw.paths()[str(_own_tokenizer(project, artifact))])


def _own_tokenizer(project: Project, artifact: Artifact) -> str | None:
    """The path upstream of a model's own tokenizer, where it is not the one that is shared."""
    model = project.catalog.models[artifact.owner]
    is_origin = artifact.owner == project.catalog.tokenizer.from_model
    if is_origin or not isinstance(model, UpstreamModel) or model.files.tokenizer is None:
        return None
    return model.files.tokenizer.path


def check_converted_again(project: Project, artifact: Artifact) -> list[Finding]:
    """Converts the checkpoint's source again, in memory, and compares every tensor's digests with
    the certificate, and the certificate with the file.

    Raises WmtpError where there is nothing to compare with.
    """
    checkpoint = Checkpoint(*place(project, artifact.name))
    _, plan = _expected_of(project, artifact)
    if plan is None:
        raise StorageError(
            "The fetched weights are released, so there is nothing to compare with",
            where=project.store.upstream,
            hint=f"wmtp materialize {artifact.inputs[0]} --force",
        )
    return verify_certificate(certificate_of(checkpoint), checkpoint.path, against=plan)


CHECKPOINTS = KindChecks(CheckpointSubject, checkpoint_checks, check_converted_again)
SHARDS = KindChecks(ShardsSubject, shards_checks, by(shards_equal_checkpoint, ShardsSubject))
CERTIFICATES = KindChecks(Subject, certificate_checks, by(certificate_of_checkpoint))
TOKENIZERS = KindChecks(TokenizerSubject, tokenizer_checks, by(tokenizer_derived))
CONFIGS = KindChecks(DocumentSubject, config_checks, by(config_derived))
ADAPTERS = KindChecks(DocumentSubject, adapter_checks, by(adapter_derived))
METADATA = KindChecks(DocumentSubject, metadata_checks, by(metadata_derived))
