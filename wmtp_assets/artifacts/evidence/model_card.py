"""README.md of a model, in the Hub's format: what it is, its origin, how to load it, its terms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from huggingface_hub import ModelCardData

from wmtp_assets.artifacts.evidence.terms import (
    SAMPLE,
    fields_of,
    front_matter,
    licence_fields,
    table,
    terms_section,
)
from wmtp_assets.artifacts.loading import LOADING
from wmtp_assets.catalog.licences import OwnerTerms
from wmtp_assets.checkpoints.layout import Network
from wmtp_assets.markdown import as_code

_SHOWN: Final = 20  # entries of a checkpoint that were left out
_TAGS: Final[Mapping[Network, tuple[str, ...]]] = {
    "mtp": ("multi-token-prediction",),
    "causal_lm": (),
    "reward_model": ("reward-model",),
}


def model_card(
    document: Mapping[str, Any], network: Network, folder: str, terms: OwnerTerms
) -> bytes:
    """The card of a model: `document` is its metadata.json, `folder` where it is below the storage.

    It declares no evaluation result: none is measured here.
    """
    sample = document.get("sample") is True
    name = str(document["name"])
    source = cast("Mapping[str, str]", document["source"])
    # Of a sample nothing comes from the repository that it is laid out like.
    base = None if sample else source["repository"]
    hub = {"library_name": "transformers", "pipeline_tag": "text-generation"}
    data = ModelCardData(
        model_name=name,
        base_model=base,
        tags=["safetensors", *_TAGS[network]],
        **cast("dict[str, Any]", hub if network == "causal_lm" else {}),
        **cast("dict[str, Any]", licence_fields(terms, sample=sample)),
    )
    parts = [
        front_matter(fields_of(data)),
        f"# {name}\n",
        *([f"{SAMPLE}\n"] if sample else []),
        f"{_what(document, source)}\n",
        table(("", ""), _facts(document, source).items()),
        "## How to load it\n",
        f"```python\n{LOADING[network].format(folder=folder)}\n```\n",
        _digests(document),
        _conversion(document),
        terms_section(terms, sample=sample),
    ]
    return "\n".join(parts).encode()


def _what(document: Mapping[str, Any], source: Mapping[str, str]) -> str:
    conversion = document["conversion"]
    if conversion["kind"] == "slice":
        return (
            f"A small model for trying things out, cut from {as_code(conversion['of'])} tensor by "
            "tensor: fewer layers, fewer heads of the same size. It was not trained since, and "
            "what it generates means nothing."
        )
    of = "" if document.get("sample") is True else f" of {as_code(source['repository'])}"
    return f"The checkpoint{of} as one safetensors file, with each tensor once."


def _facts(document: Mapping[str, Any], source: Mapping[str, str]) -> dict[str, str]:
    shared = document["tokenizer_shared_with"]
    return {
        "layout": as_code(document["layout"]),
        "implementation": as_code(document["implementation"]),
        "dtype": as_code(document["dtype"]),
        "parameters": f"{document['parameters']:,}",
        "tensors": f"{document['tensors']:,}",
        "vocabulary": f"{document['vocab_size']:,}",
        "size": f"{document['size_bytes']:,} bytes",
        "laid out like" if document.get("sample") is True else "source": (
            f"{as_code(source['repository'])} at {as_code(source['revision'])}"
        ),
        "tokenizer": f"that of {as_code(shared)}" if shared else "its own",
        "version": as_code(document["version"]),
    }


def _digests(document: Mapping[str, Any]) -> str:
    sums = cast("Mapping[str, str]", document["sha256"])
    files = {
        "safetensors/model.safetensors": sums["model.safetensors"],
        **{f"tokenizer/{name}": sums[name] for name in sums if name.startswith("tokenizer.")},
    }
    lines = [f"{digest}  {path}" for path, digest in files.items()]
    return (
        "## Digests\n\nSHA-256, as `sha256sum` prints them:\n\n```\n" + "\n".join(lines) + "\n```\n"
    )


def _conversion(document: Mapping[str, Any]) -> str:
    conversion = document["conversion"]
    heading = "## What was done\n\n"
    if conversion["kind"] == "slice":
        taken = json.dumps(conversion["taken"], indent=1)
        return (
            f"{heading}Cut from {as_code(conversion['of'])} of this catalog; certificate.json has "
            "the digest of each tensor before and after. What was taken, as metadata.json states "
            f"it:\n\n```json\n{taken}\n```\n"
        )
    dtype = conversion["source_dtype"]
    before = dtype if isinstance(dtype, str) else ", ".join(dtype)
    dropped = cast("Mapping[str, str]", conversion["dropped"])
    lines = [f"- {as_code(key)}: {as_code(why)}" for key, why in list(dropped.items())[:_SHOWN]]
    if len(dropped) > _SHOWN:
        lines.append(f"- and {len(dropped) - _SHOWN:,} more, which certificate.json lists")
    left_out = "Left out:\n\n" + "\n".join(lines) if lines else "Nothing was left out."
    return (
        f"{heading}Converted from {as_code(before)} to {as_code(conversion['dtype'])}; "
        "certificate.json has names, shapes, dtypes and digests of each tensor before and after, "
        f"and the greatest error of each cast. {left_out}\n"
    )
