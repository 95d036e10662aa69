"""Which settings of an upstream config.json are known, and what becomes of each.

Every key is one of three kinds: kept, after its type and range were checked; accepted at the value
at which it changes nothing, and left out; or left out because it never changes what the network
computes. Any other key is refused by name: a setting that nobody here knows may change the
arithmetic. So no text of upstream's ever reaches our documents, least of all one that makes a
library fetch or run code (`auto_map`, `attn_implementation`).

`settled_config` gives a config in which nothing is left to a library's defaults; applied to its own
result it changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from wmtp_assets.checkpoints.config_keys import (
    IRRELEVANT,
    KNOWN,
    KNOWN_BY_TYPE,
    NEUTRAL,
    NEUTRAL_BY_TYPE,
)
from wmtp_assets.checkpoints.config_values import (
    flag,
    layers_of,
    number,
    refuse,
    same,
    size,
    whole,
)
from wmtp_assets.checkpoints.families import FAMILIES, Family
from wmtp_assets.checkpoints.rope import read_rope

Config = Mapping[str, object]


@dataclass(frozen=True)
class Accepted:
    """What a config.json of a layout may name.

    Args:
        model_types: those of `families.py`.
        classes: what `architectures` may name beside the type's own class.
        architecture: what our config.json names; None for the type's own class.
        neutral: settings accepted at these values only, at which they change nothing.
        irrelevant: settings that are left out whatever they say.
    """

    layout: str
    model_types: tuple[str, ...]
    classes: tuple[str, ...] = ()
    architecture: str | None = None
    neutral: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    irrelevant: frozenset[str] = frozenset()


def settled_config(accepted: Accepted, config: Config) -> dict[str, object]:
    """config.json of a model, checked, complete and without anything unknown.

    Every setting that decides what the network computes is stated, in the words of transformers
    4.36 to 5; where `config` is silent, as the class of its model_type has it by default.

    Raises:
        LayoutError: a model_type or an architecture that the layout does not accept, a setting that
            is not known or cannot be carried over, or a value of the wrong type or range.
    """
    family = _family(accepted, config)
    _only_known(accepted, family, config)
    positions = size(config, "max_position_embeddings", family.positions)
    hidden, heads = size(config, "hidden_size"), size(config, "num_attention_heads")
    kv_heads = size(config, "num_key_value_heads", family.kv_heads or heads)
    head_dim = size(config, "head_dim", family.head_dim or hidden // heads)
    if heads % kv_heads or head_dim % 2 or head_dim < 2:
        refuse(
            "config.json describes no possible network",
            "num_attention_heads divisible by num_key_value_heads, and an even head_dim",
            f"{heads} heads, {kv_heads} key-value heads, head_dim {head_dim}",
        )
    vocab, layers = size(config, "vocab_size"), layers_of(config)
    return {
        "architectures": [accepted.architecture or family.causal],
        "model_type": family.model_type,
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": size(config, "intermediate_size"),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "max_position_embeddings": positions,
        "rms_norm_eps": number(config, "rms_norm_eps", 1e-6, below=1),
        "hidden_act": _activation(family, config),
        **({"hidden_activation": family.activation} if family.model_type == "gemma" else {}),
        "tie_word_embeddings": flag(config, "tie_word_embeddings", family.tied),
        "attention_dropout": number(config, "attention_dropout", 0.0, below=1, zero=True),
        "initializer_range": number(config, "initializer_range", 0.02, below=1, zero=True),
        "use_cache": flag(config, "use_cache", True),
        **_ids(family, config, vocab),
        **read_rope(config, family.theta).entries(),
        **{name: number(config, name, 1.0) for name in family.multipliers},
        **_unrotated(family, config, layers),
        **_window(family, config, layers, positions),
    }


def _family(accepted: Accepted, config: Config) -> Family:
    layout = accepted.layout
    found = config.get("model_type")
    if not isinstance(found, str) or found not in accepted.model_types:
        refuse(
            f"The layout {layout} does not accept this model_type",
            "one of " + ", ".join(accepted.model_types),
            found,
            hint="Other architectures with the same tensors compute something else, so this "
            "checkpoint cannot be converted. Name one of an accepted model_type in the catalog.",
        )
    family = FAMILIES[found]
    named = config.get("architectures")
    if named is not None:
        classes = (family.causal, *accepted.classes)
        if not isinstance(named, list) or not set(map(str, named)) <= set(classes):
            refuse(
                f"The layout {layout} does not accept these architectures",
                "one of " + ", ".join(classes) + f" for the model_type {found}",
                named,
                hint="A class with another name may compute something else. Check that the catalog "
                "names the right layout for this model.",
            )
    return family


def _only_known(accepted: Accepted, family: Family, config: Config) -> None:
    """Refuse, by name, settings that are not known, or not at a value that changes nothing."""
    if config.get("quantization_config") is not None:
        refuse(
            "The weights are quantized, which no layout here reads",
            "no quantization_config in config.json",
            config["quantization_config"],
            hint="Name the repository of the unquantized weights in the catalog.",
        )
    known = KNOWN | KNOWN_BY_TYPE.get(family.model_type, frozenset()) | set(family.multipliers)
    neutral = {
        **NEUTRAL,
        **NEUTRAL_BY_TYPE.get(family.model_type, {}),
        **accepted.neutral,
    }
    irrelevant = IRRELEVANT | accepted.irrelevant
    unknown = []
    for key, value in config.items():
        if value is None or key in known or key in irrelevant:
            continue
        if key not in neutral:
            unknown.append(key)
        elif not any(same(value, allowed) for allowed in neutral[key]):
            what = " (a model with biases has more tensors)" if "bias" in key else ""
            refuse(
                f"config.json's {key} changes what the network computes{what}, and the layout "
                f"{accepted.layout} cannot carry that over",
                " or ".join(map(str, neutral[key])) + f" for the model_type {family.model_type}",
                value,
            )
    if unknown:
        refuse(
            "config.json has settings that are not known for the model_type "
            f"{family.model_type}, and may change what the network computes",
            "the settings that checkpoints/config_keys.py lists",
            ", ".join(f"{key}: {str(config[key])[:60]}" for key in sorted(unknown)[:10]),
            hint="Find out what they do. If nothing, add them to IRRELEVANT in "
            "checkpoints/config_keys.py, or leave them out of config.json in a directory mirror "
            "and point WMTP_HUB at that; else the model cannot be converted.",
        )


def _activation(family: Family, config: Config) -> str:
    names = {"silu": ("silu", "swish"), "gelu_pytorch_tanh": ("gelu_pytorch_tanh", "gelu")}
    # Gemma's first files say gelu and mean the approximation, as every later version reads them.
    for key, accepted in (
        ("hidden_act", names[family.activation]),
        ("hidden_activation", (family.activation,)),
    ):
        found = config.get(key)
        if found is not None and found not in accepted:
            refuse(
                f"config.json's {key} is not that of the model_type {family.model_type}",
                " or ".join(accepted),
                found,
            )
    return family.activation


def _ids(family: Family, config: Config, vocab: int) -> dict[str, object]:
    """The special tokens' ids; -1, as LLaMA's first files have it for padding, means none."""
    ids: dict[str, object] = {}
    keys = ("bos_token_id", "eos_token_id", "pad_token_id")
    for key, default in zip(keys, family.ids, strict=True):
        found = config.get(key) if key in config else default
        every = found if isinstance(found, list) and key == "eos_token_id" else [found]
        is_beyond = key not in config and default is not None and default >= vocab
        if is_beyond or (found == -1 and key == "pad_token_id"):
            found = None
        elif not every or not all(one is None or _is_id(one, vocab) for one in every):
            refuse(
                f"config.json's {key} is not usable",
                f"0 to {vocab - 1} (vocab_size), or null",
                found,
            )
        ids[key] = found
    return ids


def _is_id(value: object, vocab: int) -> bool:
    return type(value) is int and 0 <= value < vocab


def _unrotated(family: Family, config: Config, layers: int) -> dict[str, object]:
    """SmolLM3's layers without RoPE: 1 for each layer that has it, 0 for each that has not."""
    if family.window != "unrotated":
        return {}
    interval = size(config, "no_rope_layer_interval", 4)
    found = config.get("no_rope_layers")
    if found is None:
        found = [int((layer + 1) % interval != 0) for layer in range(layers)]
    if (
        not isinstance(found, list)
        or len(found) < layers
        or not all(type(one) is int and one in (0, 1) for one in found)
    ):
        refuse(
            "config.json's no_rope_layers is not usable",
            f"0 or 1 for each of {layers} layers",
            found,
        )
    return {"no_rope_layers": found[:layers], "no_rope_layer_interval": interval}


def _window(family: Family, config: Config, layers: int, positions: int) -> dict[str, object]:
    """What config.json says of sliding attention, where the model_type has it."""
    window = config.get("sliding_window", family.default_window)
    if window is not None and (type(window) is not int or window < 1):
        refuse("config.json's sliding_window is not usable", "a whole number, or null", window)
    kept: dict[str, object] = {}
    sliding = [False] * layers
    if family.window == "never":
        on = flag(config, "use_sliding_window", True)
        if on and window is not None and window < positions:
            refuse(
                f"The model_type {family.model_type} has no sliding attention, but config.json "
                "asks for it",
                f"sliding_window: null, or at least max_position_embeddings ({positions})",
                window,
            )
    elif family.window == "always":
        if window is not None and not flag(config, "use_sliding_window", True):
            refuse(
                "config.json states a sliding_window and switches it off, which this model_type "
                "does not know",
                "sliding_window: null",
                f"sliding_window: {window}, use_sliding_window: false",
            )
        kept = {"sliding_window": window}
        sliding = [window is not None] * layers
    else:
        on = flag(config, "use_sliding_window", False)
        kept = {"use_sliding_window": on, "sliding_window": window}
        if family.window == "switch":
            first = whole(config, "max_window_layers", 28)
            kept["max_window_layers"] = first
            sliding = [on and window is not None and layer >= first for layer in range(layers)]
        else:
            unrotated = _unrotated(family, config, layers)
            rotated = cast("list[object]", unrotated["no_rope_layers"])
            sliding = [on and window is not None and not one for one in rotated]
    _check_layer_types(config, sliding)
    return kept


def _check_layer_types(config: Config, sliding: list[bool]) -> None:
    """Refuse `layer_types` that contradict the other settings, which older versions read."""
    found = config.get("layer_types")
    expected = ["sliding_attention" if one else "full_attention" for one in sliding]
    if found is not None and found != expected:
        refuse(
            "config.json's layer_types contradict its other settings of sliding attention",
            expected,
            found,
        )


def sliding_layers(settled: Config) -> bool:
    """Whether some layers, but not all, attend to a window only: their numbers then matter."""
    return bool(settled.get("use_sliding_window")) and settled.get("sliding_window") is not None
