"""The checks of a checkpoint: its file, what it was made from, and that it loads and works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.inputs import place, source
from wmtp_assets.artifacts.checks.subject import KindChecks, Subject, one_at_a_time
from wmtp_assets.artifacts.conversion import conversion_plan, slice_plan, upstream_config
from wmtp_assets.artifacts.documents import certificate_of
from wmtp_assets.artifacts.facts import ENDS, ends_as_facts
from wmtp_assets.artifacts.released_weights import released
from wmtp_assets.artifacts.types import SETTLED, Checkpoint, Document
from wmtp_assets.catalog import MicroModel, UpstreamModel
from wmtp_assets.catalog.artifacts import Artifact
from wmtp_assets.catalog.contract import layout_of
from wmtp_assets.checkpoints import checks as checkpoints
from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.checks import ExpectedCheckpoint, StoredCheckpoint
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.checkpoints.planning import Plan
from wmtp_assets.checkpoints.slicing import SlicePlan
from wmtp_assets.checkpoints.verification import verify_certificate
from wmtp_assets.findings import Check, Finding, Outcome, is_computed, lazy
from wmtp_assets.mtp import checks as executing
from wmtp_assets.mtp.checks import StoredModel
from wmtp_assets.storage.atomic import json_bytes
from wmtp_assets.storage.errors import StorageError


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

    def measured(self) -> Mapping[str, object]:
        return ends_as_facts(dict(self.stored.scan.ends)) if ENDS in self.receipt.facts else {}

    def digests(self) -> dict[str, str]:
        if not is_computed(self, "stored") or not is_computed(self.stored, "scan"):
            return {}
        return {self.stored.path.name: self.stored.scan.sha256}


def checkpoint_checks(project: Project, artifact: Artifact) -> list[Check[CheckpointSubject]]:
    """The checks of a checkpoint, beside those of every artifact."""
    network = layout_named(layout_of(project.catalog, artifact.owner)).network
    found = [*CHECKPOINT, *(one_at_a_time(one.on(_model)) for one in executing.CHECKS[network])]
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
    checkpoints.safetensors_round_trip.on(_stored),
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
