"""Whether the small files of an artifact are what its inputs give: derived again and compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.inputs import place, source
from wmtp_assets.artifacts.checks.subject import Subject
from wmtp_assets.artifacts.conversion import upstream_config
from wmtp_assets.artifacts.documents import (
    Derived,
    adapter_files,
    config_files,
    metadata_files,
    tokenizer_files,
)
from wmtp_assets.artifacts.types import Checkpoint, Document, Tokenizer
from wmtp_assets.catalog import MicroModel
from wmtp_assets.catalog.artifacts import Artifact, model_artifact
from wmtp_assets.catalog.contract import described, layout_of
from wmtp_assets.catalog.tokenizers import stated_size, tokenizer_of
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Check, Outcome

_DESCRIPTION = "Every file is the same, byte for byte, when it is derived from its inputs again."


def derived_from_inputs(files: Callable[[Project, Artifact], Derived]) -> Check[Subject]:
    """The check that compares every file of the artifact's folder with what its inputs give now
    (`files`), byte for byte. Inputs that give nothing fail it with the error's text."""

    def compute(subject: Subject) -> Outcome:
        artifact, folder, receipt = subject.artifact, subject.folder, subject.receipt
        wanted: Mapping[str, bytes] = {}
        wrong: list[str] = []
        try:
            made = files(subject.project, artifact)
            wanted = made.files
            wrong += [f"{name}: unexpected" for name in receipt.files if name not in wanted]
            if receipt.facts.get("document") != made.facts.get("document"):
                wrong.append("its receipt names another document")
        except (WmtpError, OSError, ValueError, KeyError) as error:
            wrong.append(str(error))
        for name, data in wanted.items():
            if name not in receipt.files:
                wrong.append(f"{name}: missing")
            elif (folder / name).read_bytes() != data:
                wrong.append(f"{name}: other bytes than its inputs give")
        return Outcome(
            not wrong,
            f"the bytes of {len(wanted)} files, as derived from {', '.join(artifact.inputs)}",
            "; ".join(wrong) or "as expected",
            str(folder),
            hint=f"wmtp materialize {artifact.name} --force" if wrong else "",
        )

    return Check("derived_from_inputs", _DESCRIPTION, compute)


def _tokenizer(project: Project, artifact: Artifact) -> Derived:
    raw = source(project, artifact.inputs[0])
    model = project.catalog.upstream_models()[artifact.owner]
    return tokenizer_files(raw, artifact.owner, model, stated_size(artifact))


def _config(project: Project, artifact: Artifact) -> Derived:
    checkpoint = _checkpoint(project, artifact)
    layout = layout_of(project.catalog, artifact.owner)
    stated = described(project.catalog, artifact.owner)
    model = project.catalog.models[artifact.owner]
    if isinstance(model, MicroModel):
        return config_files(layout, stated, checkpoint.slice()["config"], checkpoint)
    upstream = upstream_config(model, source(project, artifact.inputs[0]))
    return config_files(layout, stated, upstream, checkpoint)


def _adapter(project: Project, artifact: Artifact) -> Derived:
    layout = layout_of(project.catalog, artifact.owner)
    stated = described(project.catalog, artifact.owner)
    config = _config_document(project, artifact)
    return adapter_files(layout, stated, config, _checkpoint(project, artifact))


def _metadata(project: Project, artifact: Artifact) -> Derived:
    return metadata_files(
        artifact,
        layout_of(project.catalog, artifact.owner),
        project.catalog.models[artifact.owner],
        _checkpoint(project, artifact),
        _config_document(project, artifact),
        Tokenizer(*place(project, tokenizer_of(project.catalog, artifact.owner))),
    )


def _checkpoint(project: Project, artifact: Artifact) -> Checkpoint:
    return Checkpoint(*place(project, model_artifact(artifact.owner)))


def _config_document(project: Project, artifact: Artifact) -> Document:
    return Document(*place(project, model_artifact(artifact.owner, "config")))


tokenizer_derived = derived_from_inputs(_tokenizer)
config_derived = derived_from_inputs(_config)
adapter_derived = derived_from_inputs(_adapter)
metadata_derived = derived_from_inputs(_metadata)
