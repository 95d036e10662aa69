"""What an artifact is, in a sentence or two for its page: one function for each kind that needs it.

Each takes the catalog and the artifact; `kinds.py` names it as the kind's `describe`.
"""

from __future__ import annotations

from collections.abc import Callable

from wmtp_assets.artifacts.upstream_files import UpstreamFiles
from wmtp_assets.catalog import Catalog, MicroModel
from wmtp_assets.catalog.artifacts import TOKENIZER, Artifact
from wmtp_assets.catalog.contract import format_of
from wmtp_assets.catalog.tokenizers import published_files


def of_text(description: str) -> Callable[[Catalog, Artifact], str]:
    """The same description for all artifacts of a kind."""
    return lambda _catalog, _artifact: description


def of_fetched_files(_: Catalog, artifact: Artifact) -> str:
    """Of the fetched files of a repository."""
    return f"The files taken from {UpstreamFiles.of(artifact).repo.name}, verified on arrival."


def of_tokenizer(_: Catalog, artifact: Artifact) -> str:
    """Of a tokenizer, shared or a model's own."""
    is_json = published_files(artifact.settings)[0] == "tokenizer.json"
    file = "A tokenizer.json" if is_json else "LLaMA's SentencePiece model"
    whose = (
        "Every model shares it."
        if artifact.name == TOKENIZER
        else f"{artifact.owner} uses it, and so do the entries that name that model."
    )
    return (
        f"{file}, and the documents with which transformers' AutoTokenizer gives the same ids. "
        f"{whose}"
    )


def of_checkpoint(catalog: Catalog, artifact: Artifact) -> str:
    """Of a converted or sliced checkpoint."""
    model = catalog.models[artifact.owner]
    if isinstance(model, MicroModel):
        return (
            f"{model.layers} layers of {model.slice_of}, {model.dim} wide, cut by "
            f"whole attention heads: small enough for {model.target_device}."
        )
    return (
        f"{model.upstream.repository} as one safetensors file, {model.source_dtype} to "
        f"{model.dtype}, each tensor once."
    )


def of_shards(_: Catalog, artifact: Artifact) -> str:
    """Of the sharded view of a checkpoint."""
    return (
        f"The same tensors as shards of at most {int(str(artifact.settings['shard_bytes'])):,} "
        "bytes, with an index."
    )


def of_rows(catalog: Catalog, artifact: Artifact) -> str:
    """Of the rows of a split."""
    dataset = catalog.datasets[artifact.owner]
    return f"{dataset.upstream.repository} {artifact.split}, one Alpaca record per line."


def of_chosen_rows(_: Catalog, artifact: Artifact) -> str:
    """Of a small copy."""
    return (
        f"{artifact.settings['rows']} rows of {artifact.owner} {artifact.split}, chosen over many "
        "problems, difficulties and both classes; the same seed gives the same rows."
    )


def of_executed_rows(_: Catalog, artifact: Artifact) -> str:
    """Of the verdicts of a split."""
    rows = artifact.settings["rows"]
    which = "All rows" if rows == "all" else f"{int(str(rows)):,} rows"
    return (
        f"{which} of {artifact.owner} {artifact.split}, executed against their tests: "
        "a verdict for each, and how often labels are right."
    )


def of_package_file(catalog: Catalog, artifact: Artifact) -> str:
    """Of a file that an evaluation package reads."""
    package = format_of(catalog, artifact).package
    by = f"{package.package}, which finds it by {package.variable}" if package else "a package"
    return f"Upstream's {artifact.settings['file']} as it is, read offline by {by}."
