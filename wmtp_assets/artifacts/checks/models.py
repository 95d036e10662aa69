"""The checks of what stands beside a checkpoint: shards, certificate, tokenizer and documents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.derived import (
    adapter_derived,
    config_derived,
    metadata_derived,
    tokenizer_derived,
)
from wmtp_assets.artifacts.checks.inputs import source
from wmtp_assets.artifacts.checks.subject import KindChecks, Subject, by, one_at_a_time
from wmtp_assets.artifacts.documents import certificate_files, certificate_of
from wmtp_assets.artifacts.structure import ModelMetadata, structure_fault
from wmtp_assets.artifacts.types import Checkpoint, Document, Tokenizer
from wmtp_assets.catalog import UpstreamModel
from wmtp_assets.catalog.artifacts import Artifact, model_artifact
from wmtp_assets.catalog.contract import described, layout_of
from wmtp_assets.catalog.tokenizers import (
    origin_of,
    published_files,
    stated_size,
    tokenizer_of,
)
from wmtp_assets.checkpoints import tokenizers
from wmtp_assets.checkpoints.configs import (
    check_configs,
    sizes_of,
)
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.sharded import check_sharded
from wmtp_assets.checkpoints.tokenizers import StoredTokenizer, check_same_tokenizer
from wmtp_assets.checkpoints.vocabulary import check_vocabulary
from wmtp_assets.findings import Check, Finding, Outcome, check, is_computed, lazy
from wmtp_assets.storage.digests import sha256_file


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
    stored = document.path.read_bytes()
    same = stored == checkpoint.certificate.read_bytes()
    # What the conversion's own is not, making the copy again would not repair.
    (written,) = certificate_files(checkpoint).files.values()
    wrong = subject.artifact.name if stored != written else checkpoint.name
    return Outcome(
        same and certified == recorded,
        recorded,
        certified if same else "another certificate than the conversion wrote",
        str(document.path),
        hint="" if same else f"wmtp materialize {wrong} --force",
    )


class TokenizerSubject(Subject):
    """A tokenizer."""

    @lazy
    def stored(self) -> StoredTokenizer:
        """Its files, and what the catalog expects of them."""
        file = self.project.catalog.upstream_models()[self.artifact.owner].files.tokenizer
        expected = file.sha256 if file else None
        if file and not expected:
            # Where the catalog states no digest, that of the file that was fetched has to do.
            raw = source(self.project, self.artifact.inputs[0])
            expected = str(raw.files()[file.path]["sha256"])
        return StoredTokenizer(
            self.folder,
            vocab_size=stated_size(self.artifact),
            sha256=str(expected),
            file=published_files(self.artifact.settings)[0],
        )


def tokenizer_checks(project: Project, artifact: Artifact) -> list[Check[Any]]:
    """The checks of a tokenizer, beside those of every artifact."""
    own = [one_at_a_time(one.on(_stored_tokenizer)) for one in tokenizers.CHECKS]
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

    @lazy
    def tokenizer(self) -> Path:
        """The file of the model's tokenizer that decides its ids."""
        name = tokenizer_of(self.project.catalog, self.artifact.owner)
        return Tokenizer(*self.place(name)).model

    @property
    def document(self) -> Path:
        """The document."""
        return Document(self.folder, self.receipt).path

    def agrees(self, adapter: Path | None = None, metadata: Path | None = None) -> list[Finding]:
        """Whether config, adapter and metadata agree with the tensors: a finding of each."""
        return check_configs(
            self.layout,
            described(self.project.catalog, self.artifact.owner),
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
    common: list[Check[Any]]
    common = [metadata_agrees, metadata_derived, metadata_structure, tokenizer_fits_model]
    if _own_tokenizer(project, artifact) is None:
        return common
    return [*common, tokenizer_shared, tokenizer_file_shared]


@check("The config states the sizes that the tensors have.")
def config_describes_tensors(subject: DocumentSubject) -> Finding:
    return subject.agrees()[0]


@check("meta_adapter.yaml says what params.json and tensors say.")
def meta_adapter_agrees(subject: DocumentSubject) -> Finding:
    return subject.agrees(adapter=subject.document)[1]


@check("metadata.json says what config and tensors say.")
def metadata_agrees(subject: DocumentSubject) -> Finding:
    return subject.agrees(metadata=subject.document)[1]


@check("Its fields and their types are those of its schema.", blocking=False)
def metadata_structure(subject: DocumentSubject) -> Outcome:
    fault = structure_fault(ModelMetadata, Document(subject.folder, subject.receipt).value())
    return Outcome(
        not fault,
        "name, layout, dtype, sizes, source, sha256 and conversion, each of its type",
        fault or "as expected",
        str(subject.document),
        hint=subject.again if fault else "",
    )


@check("The tokenizer has the size of the embedding, and the special ids of the config.")
def tokenizer_fits_model(subject: DocumentSubject) -> Finding:
    return check_vocabulary(
        subject.tokenizer,
        subject.config.value(),
        sizes_of(subject.layout, read_header(subject.checkpoint.path))["vocab_size"],
    )


@check("The tokenizer in the model's own repository gives the same ids as the shared one.")
def tokenizer_shared(subject: DocumentSubject) -> Finding:
    project, artifact = subject.project, subject.artifact
    raw = source(project, model_artifact(artifact.owner, "raw"))
    theirs = raw.paths()[str(_own_tokenizer(project, artifact))]
    return check_same_tokenizer(subject.tokenizer, theirs)


@check(
    "The tokenizer file in the model's own repository has the SHA-256 of the shared file.",
    blocking=False,
)
def tokenizer_file_shared(subject: DocumentSubject) -> Outcome:
    project, artifact = subject.project, subject.artifact
    own = source(project, model_artifact(artifact.owner, "raw")).paths()
    theirs = own[str(_own_tokenizer(project, artifact))]
    expected, found = sha256_file(subject.tokenizer), sha256_file(theirs)
    return Outcome(
        found == expected,
        expected,
        found,
        str(theirs),
        hint=""
        if found == expected
        else "nothing needs to be done where tokenizer_shared passes: another file gives the same "
        f"ids. Else `{subject.again}`",
    )


def _own_tokenizer(project: Project, artifact: Artifact) -> str | None:
    """The path upstream of a model's own tokenizer, where it is not the one that it is given."""
    model = project.catalog.models[artifact.owner]
    is_origin = artifact.owner == origin_of(project.catalog, artifact.owner)
    if is_origin or not isinstance(model, UpstreamModel) or model.files.tokenizer is None:
        return None
    return model.files.tokenizer.path


SHARDS = KindChecks(ShardsSubject, shards_checks, by(shards_equal_checkpoint, ShardsSubject))
CERTIFICATES = KindChecks(Subject, certificate_checks, by(certificate_of_checkpoint))
TOKENIZERS = KindChecks(TokenizerSubject, tokenizer_checks, by(tokenizer_derived))
CONFIGS = KindChecks(DocumentSubject, config_checks, by(config_derived))
ADAPTERS = KindChecks(DocumentSubject, adapter_checks, by(adapter_derived))
METADATA = KindChecks(DocumentSubject, metadata_checks, by(metadata_derived))
