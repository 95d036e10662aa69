"""Which settings of an upstream config.json or params.json are known, and what becomes of each.

Every key is one of three kinds: kept, after its type and range were checked; accepted at the value
at which it changes nothing, and left out; or left out because it never changes what the network
computes. Any other key is refused by name: a setting that nobody here knows may change the
arithmetic. So no text of upstream's ever reaches our documents, least of all one that makes a
library fetch or run code (`auto_map`, `attn_implementation`).

`settled_config` gives a config in which nothing is left to a library's defaults; applied to its own
result it changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NoReturn, cast

from wmtp_assets.checkpoints.config_keys import (
    IRRELEVANT,
    IRRELEVANT_BY_LAYOUT,
    KNOWN,
    KNOWN_BY_TYPE,
    NEUTRAL,
    NEUTRAL_BY_LAYOUT,
    NEUTRAL_BY_TYPE,
)
from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.families import ACCEPTED, FAMILIES, OTHER_CLASSES, Family
from wmtp_assets.checkpoints.rope import read_rope

Config = Mapping[str, object]
_MOST = 1e30  # of any number: what is computed from it stays finite


def settled_config(layout: str, config: Config) -> dict[str, object]:
    """config.json of a model of `layout`, checked, complete and without anything unknown.

    Every setting that decides what the network computes is stated, in the words of transformers
    4.36 to 5; where `config` is silent, as the class of its model_type has it by default.

    Raises:
        LayoutError: a model_type or an architecture that the layout does not accept, a setting that
            is not known or cannot be carried over, or a value of the wrong type or range.
    """
    family = _family(layout, config)
    _only_known(layout, family, config)
    positions = _size(config, "max_position_embeddings", family.positions)
    hidden, heads = _size(config, "hidden_size"), _size(config, "num_attention_heads")
    kv_heads = _size(config, "num_key_value_heads", family.kv_heads or heads)
    head_dim = _size(config, "head_dim", family.head_dim or hidden // heads)
    if heads % kv_heads or head_dim % 2 or head_dim < 2:
        _refuse(
            "config.json describes no possible network",
            "num_attention_heads divisible by num_key_value_heads, and an even head_dim",
            f"{heads} heads, {kv_heads} key-value heads, head_dim {head_dim}",
        )
    vocab, layers = _size(config, "vocab_size"), _size(config, "num_hidden_layers")
    return {
        "architectures": [family.causal if layout == "llama" else "LlamaModel"],
        "model_type": family.model_type,
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": _size(config, "intermediate_size"),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_dim,
        "max_position_embeddings": positions,
        "rms_norm_eps": _number(config, "rms_norm_eps", 1e-6, below=1),
        "hidden_act": _activation(family, config),
        **({"hidden_activation": family.activation} if family.model_type == "gemma" else {}),
        "tie_word_embeddings": _flag(config, "tie_word_embeddings", family.tied),
        "attention_dropout": _number(config, "attention_dropout", 0.0, below=1, zero=True),
        "initializer_range": _number(config, "initializer_range", 0.02, below=1, zero=True),
        "use_cache": _flag(config, "use_cache", True),
        **_ids(family, config, vocab),
        **read_rope(config, family.theta).entries(),
        **{name: _number(config, name, 1.0) for name in family.multipliers},
        **_unrotated(family, config, layers),
        **_window(family, config, layers, positions),
    }


def _family(layout: str, config: Config) -> Family:
    accepted = ACCEPTED[layout]
    found = config.get("model_type")
    if not isinstance(found, str) or found not in accepted:
        _refuse(
            f"The layout {layout} does not accept this model_type",
            "one of " + ", ".join(accepted),
            found,
            hint="Other architectures with the same tensors compute something else, so this "
            "checkpoint cannot be converted. Name one of an accepted model_type in the catalog.",
        )
    family = FAMILIES[found]
    named = config.get("architectures")
    if named is not None:
        classes = (family.causal, *OTHER_CLASSES[layout])
        if not isinstance(named, list) or not set(map(str, named)) <= set(classes):
            _refuse(
                f"The layout {layout} does not accept these architectures",
                "one of " + ", ".join(classes) + f" for the model_type {found}",
                named,
                hint="A class with another name may compute something else. Check that the catalog "
                "names the right layout for this model.",
            )
    return family


def _only_known(layout: str, family: Family, config: Config) -> None:
    """Refuse, by name, settings that are not known, or not at a value that changes nothing."""
    if config.get("quantization_config") is not None:
        _refuse(
            "The weights are quantized, which no layout here reads",
            "no quantization_config in config.json",
            config["quantization_config"],
            hint="Name the repository of the unquantized weights in the catalog.",
        )
    known = KNOWN | KNOWN_BY_TYPE.get(family.model_type, frozenset()) | set(family.multipliers)
    neutral = {
        **NEUTRAL,
        **NEUTRAL_BY_TYPE.get(family.model_type, {}),
        **NEUTRAL_BY_LAYOUT.get(layout, {}),
    }
    irrelevant = IRRELEVANT | IRRELEVANT_BY_LAYOUT.get(layout, frozenset())
    unknown = []
    for key, value in config.items():
        if value is None or key in known or key in irrelevant:
            continue
        if key not in neutral:
            unknown.append(key)
        elif not any(_same(value, allowed) for allowed in neutral[key]):
            what = " (a model with biases has more tensors)" if "bias" in key else ""
            _refuse(
                f"config.json's {key} changes what the network computes{what}, and the layout "
                f"{layout} cannot carry that over",
                " or ".join(map(str, neutral[key])) + f" for the model_type {family.model_type}",
                value,
            )
    if unknown:
        _refuse(
            "config.json has settings that are not known for the model_type "
            f"{family.model_type}, and may change what the network computes",
            "the settings that checkpoints/config_keys.py lists",
            ", ".join(f"{key}: {str(config[key])[:60]}" for key in sorted(unknown)[:10]),
            hint="Find out what they do. If nothing, add them to IRRELEVANT in "
            "checkpoints/config_keys.py, or leave them out of config.json in a directory mirror "
            "and point WMTP_HUB at that; else the model cannot be converted.",
        )


def _same(value: object, allowed: object) -> bool:
    return value == allowed and isinstance(value, bool) == isinstance(allowed, bool)


def _activation(family: Family, config: Config) -> str:
    same = {"silu": ("silu", "swish"), "gelu_pytorch_tanh": ("gelu_pytorch_tanh", "gelu")}
    # Gemma's first files say gelu and mean the approximation, as every later version reads them.
    for key, accepted in (
        ("hidden_act", same[family.activation]),
        ("hidden_activation", (family.activation,)),
    ):
        found = config.get(key)
        if found is not None and found not in accepted:
            _refuse(
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
            _refuse(
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
    interval = _size(config, "no_rope_layer_interval", 4)
    found = config.get("no_rope_layers")
    if found is None:
        found = [int((layer + 1) % interval != 0) for layer in range(layers)]
    if (
        not isinstance(found, list)
        or len(found) < layers
        or not all(type(one) is int and one in (0, 1) for one in found)
    ):
        _refuse(
            "config.json's no_rope_layers is not usable",
            f"0 or 1 for each of {layers} layers",
            found,
        )
    return {"no_rope_layers": found[:layers], "no_rope_layer_interval": interval}


def _window(family: Family, config: Config, layers: int, positions: int) -> dict[str, object]:
    """What config.json says of sliding attention, where the model_type has it."""
    window = config.get("sliding_window", family.default_window)
    if window is not None and (type(window) is not int or window < 1):
        _refuse("config.json's sliding_window is not usable", "a whole number, or null", window)
    kept: dict[str, object] = {}
    sliding = [False] * layers
    if family.window == "never":
        on = _flag(config, "use_sliding_window", True)
        if on and window is not None and window < positions:
            _refuse(
                f"The model_type {family.model_type} has no sliding attention, but config.json "
                "asks for it",
                f"sliding_window: null, or at least max_position_embeddings ({positions})",
                window,
            )
    elif family.window == "always":
        if window is not None and not _flag(config, "use_sliding_window", True):
            _refuse(
                "config.json states a sliding_window and switches it off, which this model_type "
                "does not know",
                "sliding_window: null",
                f"sliding_window: {window}, use_sliding_window: false",
            )
        kept = {"sliding_window": window}
        sliding = [window is not None] * layers
    else:
        on = _flag(config, "use_sliding_window", False)
        kept = {"use_sliding_window": on, "sliding_window": window}
        if family.window == "switch":
            first = _whole(config, "max_window_layers", 28)
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
        _refuse(
            "config.json's layer_types contradict its other settings of sliding attention",
            expected,
            found,
        )


def sliding_layers(settled: Config) -> bool:
    """Whether some layers, but not all, attend to a window only: their numbers then matter."""
    return bool(settled.get("use_sliding_window")) and settled.get("sliding_window") is not None


# params.json of the layout meta-mtp.

_PARAM_SIZES = ("dim", "n_layers", "n_heads", "multiple_of", "vocab_size")
_PARAM_OPTIONAL = ("n_kv_heads", "n_future_tokens", "max_seq_len", "max_batch_size")
_PARAM_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "use_scaled_rope": (False,),
    "rope_scaling_factor": (1,),
    "qk_norm": (False,),
    "use_qk_norm": (False,),
    "use_bias": (False,),
    "moe": (False,),
    "tie_word_embeddings": (False,),
}


def settled_params(params: Config) -> dict[str, object]:
    """Meta's params.json, checked: numbers under known names, and nothing else.

    Raises:
        LayoutError: a field that is not known or changes the arithmetic, or an unusable value.
    """
    kept: dict[str, object] = {}
    unknown = []
    for key, value in params.items():
        if key in _PARAM_SIZES:
            kept[key] = _size(params, key, where="params.json")
        elif value is None:
            continue
        elif key in _PARAM_OPTIONAL:
            kept[key] = _size(params, key, where="params.json")
        elif key in ("ffn_dim_multiplier", "rope_theta"):
            kept[key] = _number(params, key, where="params.json")
        elif key == "norm_eps":
            kept[key] = _number(params, key, below=1, where="params.json")
        elif key == "head_dim" and value == _head_dim(params):
            continue
        elif key not in _PARAM_NEUTRAL:
            unknown.append(key)
        elif not any(_same(value, allowed) for allowed in _PARAM_NEUTRAL[key]):
            _refuse(
                f"params.json's {key} changes what the network computes, and the layout meta-mtp "
                "cannot carry that over",
                " or ".join(map(str, _PARAM_NEUTRAL[key])),
                value,
                where="params.json",
            )
    if unknown:
        _refuse(
            "params.json has fields that the layout meta-mtp does not know, and that may change "
            "what the network computes",
            ", ".join(
                (*_PARAM_SIZES, *_PARAM_OPTIONAL, "ffn_dim_multiplier", "norm_eps", "rope_theta")
            ),
            ", ".join(f"{key}: {str(params[key])[:60]}" for key in sorted(unknown)[:10]),
            where="params.json",
        )
    return kept


def _head_dim(params: Config) -> int:
    return _size(params, "dim", where="params.json") // _size(
        params, "n_heads", where="params.json"
    )


# Single values.


def _size(config: Config, key: str, default: int | None = None, where: str = "config.json") -> int:
    value = config.get(key)
    if value is None and default is not None:
        return default
    if type(value) is not int or not 0 < value < 1 << 31:
        _refuse(f"The config's {key} is not usable", "a whole number above 0", value, where=where)
    return value


def _whole(config: Config, key: str, default: int) -> int:
    value = config.get(key)
    if value is None:
        return default
    if type(value) is not int or not 0 <= value < 1 << 31:
        _refuse(f"The config's {key} is not usable", "a whole number", value)
    return value


def _number(
    config: Config,
    key: str,
    default: float | None = None,
    below: float = math.inf,
    zero: bool = False,
    where: str = "config.json",
) -> float:
    value = config.get(key)
    if value is None and default is not None:
        return default
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not (0 < value < min(below, _MOST) or (zero and value == 0))
    ):
        limit = "" if below == math.inf else f" below {below:g}"
        _refuse(
            f"The config's {key} is not usable", f"a positive number{limit}", value, where=where
        )
    return float(value)


def _flag(config: Config, key: str, default: bool) -> bool:
    value = config.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        _refuse(f"The config's {key} is not usable", "true or false", value)
    return value


_MEND = (
    "This model cannot be converted as it is. If the file is wrong, correct it in a directory "
    "mirror and point WMTP_HUB at that."
)


def _refuse(
    problem: str,
    expected: object,
    found: object,
    *,
    where: str = "config.json",
    hint: str = _MEND,
) -> NoReturn:
    raise LayoutError(problem, expected=expected, found=str(found)[:500], where=where, hint=hint)
