"""meta-mtp: Meta's names, with `extra_heads` beside the layers, and a params.json.

Facts: facebook/multi-token-prediction's model.py and the published 7B_1T_4/params.json.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, cast

from wmtp_assets.checkpoints import config_values
from wmtp_assets.checkpoints.cutting import Cut, MicroShape, at_most, kept_heads, ranges, spread
from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.layout import (
    Config,
    Described,
    Layout,
    LlamaTensor,
    Shape,
    is_table,
    number,
)
from wmtp_assets.checkpoints.params import check_sizes, ffn_dim_of, integer, positive
from wmtp_assets.checkpoints.rope import Rope
from wmtp_assets.checkpoints.rotary import theta_of
from wmtp_assets.checkpoints.safetensors_file import Header
from wmtp_assets.checkpoints.sizes import ConfigError, count_blocks, dtype_entries, dtype_of
from wmtp_assets.checkpoints.tensors import SourceTensor

# Fields of params.json: sizes that must be there, sizes that may be, and fields that are accepted
# at the value at which they change nothing.
_SIZES = ("dim", "n_layers", "n_heads", "multiple_of", "vocab_size")
_OPTIONAL = ("n_kv_heads", "n_future_tokens", "max_seq_len", "max_batch_size")
_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "use_scaled_rope": (False,),
    "rope_scaling_factor": (1,),
    "qk_norm": (False,),
    "use_qk_norm": (False,),
    "use_bias": (False,),
    "moe": (False,),
    "tie_word_embeddings": (False,),
}

# What transformers' LLaMA calls the tensors.
_LLAMA = {
    "tok_embeddings.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_LLAMA_BLOCK = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
    "attention_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
_BLOCK = re.compile(r"layers\.(\d+)\.(.+)\.weight")
_OF_LLAMA = frozenset(
    [
        "hidden_size",
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
        "vocab_size",
        "max_position_embeddings",
        "rms_norm_eps",
        "rope_theta",
    ]
)


class MetaMtp(Layout):
    """A multi-token-prediction model as Meta stores it."""

    name = "meta-mtp"
    config_files = ("params.json", "config.json")
    has_adapter = True
    implementation = "pure_pytorch"
    facts: ClassVar[Mapping[str, object]] = {"freqs_cis_handling": "runtime_computed"}
    network = "mtp"
    is_sliced = True
    has_llama = True
    positions = 2048  # the default of ModelArgs.max_seq_len in Meta's reference code
    embedding, block = "tok_embeddings.weight", "layers"
    wide, key = "feed_forward.w1.weight", "attention.wk.weight"

    def settled(self, config: Config) -> dict[str, object]:
        return _settled(config)

    def shapes(self, config: Config) -> dict[str, Shape]:
        config = _settled(config)
        dim, vocab = number(config, "dim"), number(config, "vocab_size")
        heads, ffn = number(config, "n_heads"), ffn_dim_of(config)
        kv_heads = heads if config.get("n_kv_heads") is None else number(config, "n_kv_heads")
        extra = number(config, "n_future_tokens") - 1
        layers = number(config, "n_layers") - extra
        if layers < 1 or dim % heads or heads % kv_heads:
            raise LayoutError(
                "The params.json contradicts itself",
                expected="n_layers >= n_future_tokens, dim divisible by n_heads, "
                "n_heads by n_kv_heads",
                found=dict(config),
            )
        kv = dim // heads * kv_heads
        block = {
            "attention.wq.weight": (dim, dim),
            "attention.wk.weight": (kv, dim),
            "attention.wv.weight": (kv, dim),
            "attention.wo.weight": (dim, dim),
            "feed_forward.w1.weight": (ffn, dim),
            "feed_forward.w2.weight": (dim, ffn),
            "feed_forward.w3.weight": (ffn, dim),
            "attention_norm.weight": (dim,),
            "ffn_norm.weight": (dim,),
        }
        blocks = [f"layers.{i}" for i in range(layers)] + [f"extra_heads.{i}" for i in range(extra)]
        return {
            "tok_embeddings.weight": (vocab, dim),
            **{f"{b}.{part}": shape for b in blocks for part, shape in block.items()},
            "norm.weight": (dim,),
            "output.weight": (vocab, dim),
        }

    def config_sizes(self, config: Config) -> dict[str, int]:
        config = _settled(config)
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

    def sizes(self, header: Header) -> dict[str, int]:
        sizes = super().sizes(header)
        extra = count_blocks(header, "extra_heads")
        sizes["num_hidden_layers"] += extra
        sizes["n_future_tokens"] = 1 + extra
        return sizes

    def rope(self, config: Config) -> tuple[Rope, int]:
        dim, heads = number(config, "dim"), number(config, "n_heads")
        return Rope(cast("float", _settled(config)["rope_theta"])), dim // heads

    def settle(
        self, config: Config, tensors: Mapping[str, SourceTensor]
    ) -> tuple[dict[str, object], dict[str, str]]:
        """rope_theta, and vocab_size (-1: the tokenizer's)."""
        settled: dict[str, object] = {}
        evidence: dict[str, str] = {}
        embedding = tensors.get("tok_embeddings.weight")
        if config.get("vocab_size") == -1 and embedding is not None and len(embedding.shape) == 2:
            settled["vocab_size"] = embedding.shape[0]
            evidence["vocab_size"] = f"params.json says -1: the rows of {embedding.name}"
        if config.get("rope_theta") is None:
            tables = [tensor for name, tensor in tensors.items() if is_table(name)]
            settled["rope_theta"], table = theta_of(config, tables)
            evidence["rope_theta"] = f"not in params.json: derived from the stored table {table}"
        return settled, evidence

    def documents(
        self, config: Config, header: Header, described: Described
    ) -> dict[str, dict[str, object]]:
        params = super().documents(config, header, described)
        return {**params, "config.json": _config_json(params["params.json"], header, described)}

    def adapter(self, config: Config, header: Header, described: Described) -> dict[str, object]:
        """meta_adapter.yaml of an MTP model: what training needs and params.json leaves unsaid.

        Sizes and dtype are the tensors', after params.json was found to agree.

        Raises:
            ConfigError: params.json and the tensors disagree, or params.json and the catalog on the
                number of positions. ParamsError: params.json is unusable.
        """
        sizes = self.agreed(config, header)
        heads = integer(config, "n_heads")
        return {
            "model_name": described.name,
            "n_future_tokens": sizes["n_future_tokens"],
            "num_hidden_layers": sizes["num_hidden_layers"],
            "trunk_layers": sizes["num_hidden_layers"] - sizes["n_future_tokens"],
            "hidden_size": sizes["hidden_size"],
            "intermediate_size": sizes["intermediate_size"],
            "num_attention_heads": heads,
            "num_key_value_heads": integer(config, "n_kv_heads", default=heads),
            "vocab_size": sizes["vocab_size"],
            "max_position_embeddings": _positions(config, described),
            "rms_norm_eps": positive(config, "norm_eps"),
            "rope_theta": positive(config, "rope_theta"),
            "dtype": dtype_of(header),
            "parameters": header.parameters,
            # The network keeps no keys and values between calls: each starts at position 0.
            "cache": False,
            **({"target_device": described.target_device} if described.target_device else {}),
        }

    def llama_tensors(self, config: Config, header: Header) -> dict[str, LlamaTensor]:
        """The trunk, then the last of `layers` as the last block, then the shared norm and output.

        Only rows of the query and key projections are in another order: Meta's rotary embedding
        turns neighbouring channels of a head, (0, 1), (2, 3), ..., transformers' turns channel i
        with i + head size / 2.
        """
        self.agreed(config, header)
        heads = integer(config, "n_heads")
        paired = {
            "attention.wq": heads,
            "attention.wk": integer(config, "n_kv_heads", default=heads),
        }
        found: dict[str, LlamaTensor] = {}
        for name in header.tensors:
            block = _BLOCK.fullmatch(name)
            if name in _LLAMA:
                found[_LLAMA[name]] = LlamaTensor(name)
            elif block is not None:
                new = f"model.layers.{block[1]}.{_LLAMA_BLOCK[block[2]]}.weight"
                found[new] = LlamaTensor(name, paired.get(block[2], 0))
        return found

    def llama_config(
        self, config: Config, header: Header, described: Described
    ) -> dict[str, object]:
        known = self.adapter(config, header, described)
        return {
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            **{name: value for name, value in known.items() if name in _OF_LLAMA},
            "num_hidden_layers": cast("int", known["trunk_layers"]) + 1,
            "tie_word_embeddings": False,
        }

    def cut(self, config: Config, micro: MicroShape) -> Cut:
        """All heads are kept; the last of `layers` stays the next-token head."""
        params = _settled(config)
        heads = number(params, "n_heads")
        kv_heads = heads if params.get("n_kv_heads") is None else number(params, "n_kv_heads")
        kept, kv_kept = kept_heads(number(params, "dim"), heads, kv_heads, micro.dim)
        extra = number(params, "n_future_tokens") - 1
        vocab = at_most("vocabulary", micro.vocab, number(params, "vocab_size"))
        if micro.layers <= extra:
            raise LayoutError(
                "A micro model has too few layers for its prediction heads",
                expected=f"at least {extra + 1} layers: one for each future token",
                found=micro.layers,
            )
        small: dict[str, object] = {
            **params,
            "dim": micro.dim,
            "n_layers": micro.layers,
            "n_heads": kept,
            "n_kv_heads": kv_kept,
            "vocab_size": vocab,
        }
        if ffn_dim_of(small) != micro.ffn:
            raise LayoutError(
                "A micro model's feed-forward width cannot be expressed in params.json",
                expected=f"{ffn_dim_of(small)}, by Meta's rule for dim {micro.dim}",
                found=micro.ffn,
                hint="Correct ffn in the catalog.",
            )
        trunk = number(params, "n_layers") - extra - 1
        layers = [*spread(trunk, micro.layers - extra - 1), trunk]
        taken = {"layers": layers, "extra_heads": list(range(extra))}
        return Cut(small, layers, taken | ranges(kept, kv_kept, micro, vocab))


LAYOUT = MetaMtp()


_OF_ADAPTER_ALONE = frozenset(["model_name", "dtype", "parameters", "cache", "target_device"])


def _config_json(params: Config, header: Header, described: Described) -> dict[str, object]:
    """config.json of an MTP model, for tools that look for one.

    Its model_type is one that transformers does not know: called "llama", it would be loaded as a
    LLaMA, of which no name fits, and come out freshly initialised with a warning.
    """
    adapter = LAYOUT.adapter(params, header, described)
    return {
        "architectures": ["MTPTransformer"],
        "model_type": LAYOUT.name,
        **{name: value for name, value in adapter.items() if name not in _OF_ADAPTER_ALONE},
        **dtype_entries(header),
    }


def _positions(params: Config, described: Described) -> int:
    """How long a text may be, in tokens: as params.json states it (max_seq_len), else as the
    catalog does, else the default of Meta's reference code.

    The tensors do not decide it: rotary angles are computed for any position.
    """
    named, stated = params.get("max_seq_len"), described.max_position_embeddings
    if named is None:
        return LAYOUT.positions if stated is None else stated
    found = integer(params, "max_seq_len")
    if stated not in (None, found):
        raise ConfigError(
            "The catalog states another number of positions than params.json",
            expected=f"max_seq_len of params.json, {found}",
            found=f"max_position_embeddings {stated} in the catalog",
            hint="Leave max_position_embeddings out of the model's entry in the catalog.",
        )
    return found


def _settled(params: Config) -> dict[str, object]:
    """Meta's params.json, checked: numbers under known names, and nothing else.

    Raises:
        LayoutError: a field that is not known or changes the arithmetic, or an unusable value.
    """
    kept: dict[str, object] = {}
    unknown = []
    for key, value in params.items():
        if key in _SIZES:
            kept[key] = config_values.size(params, key, where="params.json")
        elif value is None:
            continue
        elif key in _OPTIONAL:
            kept[key] = config_values.size(params, key, where="params.json")
        elif key in ("ffn_dim_multiplier", "rope_theta"):
            kept[key] = config_values.number(params, key, where="params.json")
        elif key == "norm_eps":
            kept[key] = config_values.number(params, key, below=1, where="params.json")
        elif key == "head_dim" and value == _head_dim(params):
            continue
        elif key not in _NEUTRAL:
            unknown.append(key)
        elif not any(config_values.same(value, allowed) for allowed in _NEUTRAL[key]):
            config_values.refuse(
                f"params.json's {key} changes what the network computes, and the layout meta-mtp "
                "cannot carry that over",
                " or ".join(map(str, _NEUTRAL[key])),
                value,
                where="params.json",
            )
    if unknown:
        config_values.refuse(
            "params.json has fields that the layout meta-mtp does not know, and that may change "
            "what the network computes",
            ", ".join((*_SIZES, *_OPTIONAL, "ffn_dim_multiplier", "norm_eps", "rope_theta")),
            ", ".join(f"{key}: {str(params[key])[:60]}" for key in sorted(unknown)[:10]),
            where="params.json",
        )
    return kept


def _head_dim(params: Config) -> int:
    dim = config_values.size(params, "dim", where="params.json")
    return dim // config_values.size(params, "n_heads", where="params.json")
