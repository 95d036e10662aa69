"""Whether the small files of an artifact are what its inputs give: derived again and compared."""

from __future__ import annotations

from collections.abc import Mapping

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.inputs import place, source
from wmtp_assets.artifacts.checks.table import DERIVED
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
from wmtp_assets.catalog.artifacts import TOKENIZER, Artifact, Kind, model_artifact
from wmtp_assets.catalog.contract import layout_of
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding


def check_derived(project: Project, artifact: Artifact) -> Finding:
    """Compares every file of the artifact's folder with what its inputs give now, byte for byte.

    Inputs that give nothing fail it with the error's words.
    """
    folder, receipt = place(project, artifact.name)
    wanted: Mapping[str, bytes] = {}
    wrong: list[str] = []
    try:
        wanted = derived(project, artifact).files
        wrong += [f"{name}: too many" for name in receipt.files if name not in wanted]
    except (WmtpError, OSError, ValueError, KeyError) as error:
        wrong.append(str(error))
    for name, data in wanted.items():
        if name not in receipt.files:
            wrong.append(f"{name}: missing")
        elif (folder / name).read_bytes() != data:
            wrong.append(f"{name}: other bytes than its inputs give")
    return Finding(
        DERIVED.name,
        not wrong,
        f"{len(wanted)} files, as derived from {', '.join(artifact.inputs)}",
        "; ".join(wrong) or "as expected",
        str(folder),
        hint=f"wmtp materialize {artifact.name} --force" if wrong else "",
    )


def derived(project: Project, artifact: Artifact) -> Derived:
    """The files of a tokenizer, config, adapter or metadata artifact, derived from its inputs."""
    owner = artifact.owner
    if artifact.kind is Kind.TOKENIZER:
        raw = source(project, artifact.inputs[0])
        return tokenizer_files(raw, project.catalog.tokenizer.vocab_size)
    checkpoint = Checkpoint(*place(project, model_artifact(owner)))
    layout, model = layout_of(project.catalog, owner), project.catalog.models[owner]
    if artifact.kind is Kind.CONFIG:
        if isinstance(model, MicroModel):
            return config_files(layout, checkpoint.slice()["config"], checkpoint)
        upstream = upstream_config(model, source(project, artifact.inputs[0]))
        return config_files(layout, upstream, checkpoint)
    config = Document(*place(project, model_artifact(owner, "config")))
    if artifact.kind is Kind.ADAPTER:
        return adapter_files(config, checkpoint)
    tokenizer = Tokenizer(*place(project, TOKENIZER))
    return metadata_files(artifact, layout, model, checkpoint, config, tokenizer)
