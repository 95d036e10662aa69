"""The documents beside the weights: derived from upstream's config and the tensors' header.

Belongs here: what `config.json`, `params.json`, `meta_adapter.yaml` and `metadata.json` say of a
model, and the check that they say the same as the tensors. A size or a dtype is never typed in a
second time: it is read from the header, and where upstream's document states it too, the two are
compared. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import yaml

from wmtp_assets.checkpoints import strict_json
from wmtp_assets.checkpoints.layout import Described
from wmtp_assets.checkpoints.layouts import layout_named
from wmtp_assets.checkpoints.safetensors_file import Header, read_header
from wmtp_assets.checkpoints.sizes import ConfigError, dtype_of
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding

HF_VIEW = "hf"  # the folder, in a model's directory, that transformers loads from

_HINT = "materialize the model's configs and metadata again"


def sizes_of(layout: str, header: Header) -> dict[str, int]:
    """What the tensors' shapes say of the network, in config.json's words.

    For meta-mtp `num_hidden_layers` counts all blocks, and `n_future_tokens` is there.

    Raises:
        ConfigError: a tensor that the sizes are read from is missing.
    """
    return layout_named(layout).sizes(header)


def derived_config(layout: str, config: Mapping[str, object], header: Header) -> dict[str, object]:
    """The model's config: upstream's known settings, complete, and (in config.json) the true dtype.

    Raises:
        ConfigError: config and tensors disagree on a size. LayoutError: a setting is not known or
            not usable, or the layout does not accept the model_type.
    """
    layout_named(layout).agreed(config, header)
    return layout_named(layout).stated(config, header)


def metadata_facts(layout: str, config: Mapping[str, object], header: Header) -> dict[str, object]:
    """The part of metadata.json that describes the tensors; whoever writes it adds the sources."""
    known = layout_named(layout)
    return {
        "layout": layout,
        "implementation": known.implementation,
        "format": "safetensors",
        "dtype": dtype_of(header),
        "parameters": header.parameters,
        "n_params": header.parameters,
        "tensors": len(header.tensors),
        **known.agreed(config, header),
        **known.facts,
        "value_head": known.value_head(header),
        # FSDP shards block by block: every tensor is a parameter, all of one dtype (else there is
        # none to state), and none is in two modules at once.
        "distributed": {"fsdp_compatible": not config.get("tie_word_embeddings", False)},
    }


def check_configs(
    layout: str,
    described: Described,
    *,
    weights: Path,
    config: Path,
    adapter: Path | None,
    metadata: Path | None,
) -> list[Finding]:
    """Whether a model's documents agree with its tensors and with each other.

    Args:
        layout: its name. described: what the catalog says of the model.
        config: the first of its `config_files`.
        weights: the safetensors file; only its header is read.
        adapter: meta_adapter.yaml, where the model has one. metadata: metadata.json likewise.
    """
    known = layout_named(layout)
    header = cache(lambda: read_header(weights))
    document = cache(lambda: _document(config))

    def agrees(name: str, path: Path, derived: Callable[[], Mapping[str, object]]) -> Finding:
        return _finding(name, path, lambda: _unlike(_document(path), derived()))

    def faults() -> list[str]:
        differences = known.size_differences(document(), header())
        stated = known.stated(document(), header())
        foreign = [f"{name}: does not belong there" for name in document() if name not in stated]
        return differences + _unlike(document(), stated) + foreign

    findings = [_finding("config_describes_tensors", config, faults)]
    if adapter is not None:
        findings.append(
            agrees(
                "meta_adapter_agrees",
                adapter,
                lambda: known.adapter(document(), header(), described),
            )
        )
    if metadata is not None:
        findings.append(
            agrees(
                "metadata_agrees", metadata, lambda: metadata_facts(layout, document(), header())
            )
        )
    return findings


def _unlike(document: Mapping[str, object], derived: Mapping[str, object]) -> list[str]:
    return [
        f"{name}: file says {document.get(name)!r}, tensors and config give {value!r}"
        for name, value in derived.items()
        if document.get(name) != value
        or isinstance(document.get(name), bool) != isinstance(value, bool)  # True == 1
    ]


def _document(path: Path) -> dict[str, object]:
    if path.suffix not in (".yaml", ".yml"):
        return strict_json.read_object(path, "The document", _HINT)
    document = yaml.safe_load(path.read_bytes())
    if not isinstance(document, dict):
        raise ConfigError(
            "The document is not a mapping",
            found=strict_json.kind_of(document),
            where=path,
            hint=_HINT,
        )
    return document


def _finding(name: str, path: Path, faults_of: Callable[[], list[str]]) -> Finding:
    try:
        faults = faults_of()
    except (OSError, ValueError, yaml.YAMLError, WmtpError) as error:
        faults = [str(error)]
    return Finding(
        name=name,
        passed=not faults,
        expected="what the tensors' header says",
        found="the same" if not faults else "; ".join(faults),
        where=str(path),
        hint="" if not faults else _HINT,
    )
