"""The documents beside the weights: derived from upstream's config and the tensors' header.

Belongs here: what `config.json`, `params.json`, `meta_adapter.yaml` and `metadata.json` say of a
model, and the proof that they say the same as the tensors. A size or a dtype is never typed in a
second time: it is read from the header, and where upstream's document states it too, the two are
compared. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import yaml

from wmtp_assets.checkpoints import strict_json
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.safetensors_file import Header, read_header
from wmtp_assets.checkpoints.settings import settled_config, settled_params
from wmtp_assets.errors import WmtpError
from wmtp_assets.findings import Finding
from wmtp_assets.mtp.params import check_sizes, ffn_dim_of, integer, number

MTP, LLAMA, REWARD = "meta-mtp", "llama", "llama-reward"
STORED = (DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32)
HF_VIEW = "hf"  # the folder, in a model's directory, that transformers loads from
VIEW_FILES = {
    "config.json": "configs/config.json",
    "model.safetensors": "safetensors/model.safetensors",
    "tokenizer.json": "tokenizer/tokenizer.json",
    "tokenizer.model": "tokenizer/tokenizer.model",
    "tokenizer_config.json": "tokenizer/tokenizer_config.json",
}

_MEND = "materialize the model's configs and metadata again"


class ConfigError(CheckpointError):
    """A config contradicts the tensors, or what is asked of it cannot be expressed."""


def dtype_of(header: Header) -> str:
    """The one dtype that every tensor has, in torch's words ("float16").

    Raises:
        ConfigError: several dtypes, or one that no model of ours is stored in.
    """
    if len(header.dtypes) != 1 or not set(header.dtypes) <= set(STORED):
        raise ConfigError(
            "The tensors have no single dtype that a config could state",
            expected=f"one of {', '.join(STORED)} for all tensors",
            found=", ".join(f"{n} of {dtype}" for dtype, n in header.dtypes.items())
            or "no tensors",
            where=header.path,
        )
    (dtype,) = header.dtypes
    return dtype.value


def sizes_of(layout: str, header: Header) -> dict[str, int]:
    """What the tensors' shapes say of the network, in config.json's words.

    For meta-mtp `num_hidden_layers` counts all blocks, and `n_future_tokens` is there.

    Raises:
        ConfigError: a tensor that the sizes are read from is missing.
    """
    if layout == MTP:
        embedding, block = "tok_embeddings.weight", "layers"
        wide, key = "feed_forward.w1.weight", "attention.wk.weight"
    else:
        prefix = "model." if layout == LLAMA else ""
        embedding, block = f"{prefix}embed_tokens.weight", f"{prefix}layers"
        wide, key = "mlp.gate_proj.weight", "self_attn.k_proj.weight"
    named = (embedding, f"{block}.0.{wide}", f"{block}.0.{key}")
    for name in named:
        if name not in header.tensors or len(header.tensors[name].shape) != 2:
            raise ConfigError(
                "The sizes cannot be read from the tensors",
                expected=f"a matrix named {name}",
                found="another shape" if name in header.tensors else "no tensor of that name",
                where=header.path,
                hint="check that the catalog names the right layout for this model",
            )
    (vocab, hidden), (ffn, _), (kv_width, _) = (header.tensors[name].shape for name in named)
    sizes = {
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "vocab_size": vocab,
        "num_hidden_layers": _count(header, block),
        "key_value_width": kv_width,
    }
    if layout == MTP:
        extra = _count(header, "extra_heads")
        sizes["num_hidden_layers"] += extra
        sizes["n_future_tokens"] = 1 + extra
    return sizes


def _count(header: Header, block: str) -> int:
    depth = block.count(".") + 1
    return len({n.split(".")[depth] for n in header.tensors if n.startswith(f"{block}.")})


def config_sizes(layout: str, config: Mapping[str, object]) -> dict[str, int]:
    """The same sizes as `sizes_of`, but as params.json (meta-mtp) or config.json states them.

    Raises:
        LayoutError, ParamsError: a size is missing or impossible, or a setting is not known.
    """
    if layout == MTP:
        config = settled_params(config)
        check_sizes(config)
        heads = integer(config, "n_heads")
        head_dim = integer(config, "dim") // heads
        return {
            "hidden_size": integer(config, "dim"),
            "intermediate_size": ffn_dim_of(config),
            "vocab_size": integer(config, "vocab_size"),
            "num_hidden_layers": integer(config, "n_layers"),
            "key_value_width": integer(config, "n_kv_heads", default=heads) * head_dim,
            "n_future_tokens": integer(config, "n_future_tokens", default=1),
        }
    settled = settled_config(layout, config)
    names = ("hidden_size", "intermediate_size", "vocab_size", "num_hidden_layers")
    return {name: integer(settled, name) for name in names} | {
        "key_value_width": integer(settled, "num_key_value_heads") * integer(settled, "head_dim")
    }


def size_differences(layout: str, config: Mapping[str, object], header: Header) -> list[str]:
    """One line for each size on which config and tensors disagree; empty when they agree."""
    stated, found = config_sizes(layout, config), sizes_of(layout, header)
    return [
        f"{name}: config says {stated[name]}, tensors say {found[name]}"
        for name in stated
        if stated[name] != found[name]
    ]


def _agreed(layout: str, config: Mapping[str, object], header: Header) -> dict[str, int]:
    differences = size_differences(layout, config, header)
    if differences:
        raise ConfigError(
            "The config describes another model than the tensors",
            expected="the same sizes in both",
            found="; ".join(differences),
            where=header.path,
            hint="check that config and weights come from the same folder upstream",
        )
    return sizes_of(layout, header)


def meta_adapter(params: Mapping[str, object], header: Header) -> dict[str, object]:
    """meta_adapter.yaml of an MTP model: what training needs and params.json leaves unsaid.

    Sizes and dtype are the tensors', after params.json was found to agree.

    Raises:
        ConfigError: params.json and the tensors disagree. ParamsError: params.json is unusable.
    """
    sizes = _agreed(MTP, params, header)
    heads = integer(params, "n_heads")
    return {
        "n_future_tokens": sizes["n_future_tokens"],
        "trunk_layers": sizes["num_hidden_layers"] - sizes["n_future_tokens"],
        "hidden_size": sizes["hidden_size"],
        "intermediate_size": sizes["intermediate_size"],
        "num_attention_heads": heads,
        "num_key_value_heads": integer(params, "n_kv_heads", default=heads),
        "vocab_size": sizes["vocab_size"],
        "rms_norm_eps": number(params, "norm_eps"),
        "rope_theta": number(params, "rope_theta"),
        "dtype": dtype_of(header),
        "parameters": header.parameters,
    }


def mtp_config(params: Mapping[str, object], header: Header) -> dict[str, object]:
    """config.json of an MTP model, for tools that look for one.

    Its model_type is one that transformers does not know: called "llama", it would be loaded as a
    LLaMA, of which no name fits, and come out freshly initialised with a warning.
    """
    adapter = meta_adapter(params, header)
    return {
        "architectures": ["MTPTransformer"],
        "model_type": MTP,
        "num_hidden_layers": integer(params, "n_layers"),
        **{name: value for name, value in adapter.items() if name not in ("dtype", "parameters")},
        **_dtype_entries(header),
    }


def derived_config(layout: str, config: Mapping[str, object], header: Header) -> dict[str, object]:
    """config.json for the llama layouts: upstream's known settings, complete, and the true dtype.

    Raises:
        ConfigError: config and tensors disagree on a size. LayoutError: a setting is not known or
            not usable, or the layout does not accept the model_type.
    """
    _agreed(layout, config, header)
    return {**settled_config(layout, config), **_dtype_entries(header)}


def derived_params(params: Mapping[str, object], header: Header) -> dict[str, object]:
    """params.json of an MTP model: upstream's numbers under known names, and nothing else.

    Raises:
        ConfigError: params.json and the tensors disagree. LayoutError: a field is not known.
        ParamsError: it is unusable.
    """
    _agreed(MTP, params, header)
    return settled_params(params)


def _dtype_entries(header: Header) -> dict[str, object]:
    """`dtype` is what transformers 5 reads, `torch_dtype` what 4 and most other tools read."""
    return {"dtype": dtype_of(header), "torch_dtype": dtype_of(header)}


def hf_view(layout: str) -> dict[str, str]:
    """Names in the model's `hf/` folder, and the file that each links to in the model's folder.

    From it `AutoModelForCausalLM` (layout llama), `AutoModel` (llama-reward: the trunk) and
    `AutoTokenizer` load with no further argument. Empty for meta-mtp: transformers knows no such
    architecture; its `tokenizer/` folder serves AutoTokenizer, `mtp.loading` the model.
    """
    return {} if layout == MTP else dict(VIEW_FILES)


def metadata_facts(layout: str, config: Mapping[str, object], header: Header) -> dict[str, object]:
    """The part of metadata.json that describes the tensors; whoever writes it adds the sources."""
    facts: dict[str, object] = {
        "layout": layout,
        "implementation": "pure_pytorch" if layout == MTP else "transformers",
        "dtype": dtype_of(header),
        "parameters": header.parameters,
        "tensors": len(header.tensors),
        **_agreed(layout, config, header),
    }
    if layout == MTP:
        facts["freqs_cis_handling"] = "runtime_computed"
    return facts


def check_configs(
    layout: str, *, weights: Path, config: Path, adapter: Path | None, metadata: Path | None
) -> list[Finding]:
    """Whether a model's documents agree with its tensors and with each other.

    Args:
        layout: `meta-mtp` (then `config` is params.json), `llama` or `llama-reward` (config.json).
        weights: the safetensors file; only its header is read.
        adapter: meta_adapter.yaml, where the model has one. metadata: metadata.json likewise.
    """
    header = cache(lambda: read_header(weights))
    document = cache(lambda: _document(config))

    def agrees(name: str, path: Path, derived: Callable[[], Mapping[str, object]]) -> Finding:
        return _finding(name, path, lambda: _unlike(_document(path), derived()))

    def faults() -> list[str]:
        differences = size_differences(layout, document(), header())
        if layout == MTP:  # params.json names no dtype
            stated = settled_params(document())
        else:
            stated = {**settled_config(layout, document()), **_dtype_entries(header())}
        foreign = [f"{name}: does not belong there" for name in document() if name not in stated]
        return differences + _unlike(document(), stated) + foreign

    findings = [_finding("config_describes_tensors", config, faults)]
    if adapter is not None:
        findings.append(
            agrees("meta_adapter_agrees", adapter, lambda: meta_adapter(document(), header()))
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
        return strict_json.read_object(path, "The document", _MEND)
    document = yaml.safe_load(path.read_bytes())
    if not isinstance(document, dict):
        raise ConfigError(
            "The document is not a mapping",
            found=strict_json.kind_of(document),
            where=path,
            hint=_MEND,
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
        hint="" if not faults else _MEND,
    )
