"""The known layouts: which tensors a checkpoint must hold, what they are called, what may go.

A layout turns a config (params.json or config.json) and the names found at the source into a
`Mapping`: for every target name its shape and its source, and for every entry that is left out the
reason. A new layout is one more function in `LAYOUTS`. Facts: the models' own reference code
(facebook/multi-token-prediction's model.py, transformers' modeling_llama.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.families import FAMILIES
from wmtp_assets.checkpoints.settings import settled_config, settled_params

LayoutName = Literal["meta-mtp", "llama", "llama-reward"]
Config = Mapping[str, object]
Shape = tuple[int, ...]

RECOMPUTED = "rotary angles are computed at run time"
SECOND_TRUNK = "a second copy of the trunk, found equal to the first"
UNUSED_HEAD = "the reward is read from v_head; the language head is not used"
TIED_HEAD = "tied to the embedding, found equal to it"
UNUSED_NORMALIZER = "the config does not normalize scores"
COUNTER = "counts the models that were averaged; no layer uses it"

# What torch.optim.swa_utils.AveragedModel keeps beside the averaged model.
COUNTERS = frozenset(["n_averaged"])

_ANGLES = re.compile(r"(?:.*\.)?(?:freqs_cis|rope\.freqs|rotary_emb\.inv_freq)")

# Names are made for every layer that a config claims: no network has nearly as many.
_LAYERS, _MOST_LAYERS = ("n_layers", "n_future_tokens", "num_hidden_layers"), 10_000
_MOST = 1 << 40


@dataclass(frozen=True)
class Wanted:
    """A tensor of the target: its shape, its name at the source, and copies that must be equal."""

    shape: Shape
    source: str
    copies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assignment:
    """What a layout makes of a source: every target tensor, and why other entries are left out."""

    wanted: Mapping[str, Wanted]
    left_out: Mapping[str, str] = field(default_factory=dict)


def is_table(name: str) -> bool:
    """Whether the tensor `name` is a rotary table."""
    return _ANGLES.fullmatch(name) is not None


def number(config: Config, key: str) -> int:
    """A whole number above 0 from a config; LayoutError where there is none, or one beyond all."""
    value = config.get(key)
    most = _MOST_LAYERS if key in _LAYERS else _MOST
    if type(value) is not int or not 0 < value <= most:
        raise LayoutError(
            f"The config's {key} is not usable",
            expected=f"a whole number above 0, {most:,} at most",
            found=ascii(value)[:80],
        )
    return value


def expected_shapes(layout: LayoutName, config: Config) -> dict[str, Shape]:
    """The target's tensor names and shapes that `config` demands."""
    return _SHAPES[layout](config)


def optional_shapes(layout: LayoutName) -> dict[str, Shape]:
    """Tensors that a target holds only where its source does, whatever the config says."""
    return {REWARD_BIAS: (1,)} if layout == "llama-reward" else {}


def assign(layout: LayoutName, config: Config, names: Iterable[str]) -> Assignment:
    """Find each target tensor among the source's `names`, and a reason for each that is left over.

    Raises LayoutError, naming them, when a tensor is missing or one is left without a reason.
    """
    shapes = expected_shapes(layout, config)
    found = list(names)
    beside = {name: RECOMPUTED for name in found if is_table(name)}
    beside |= {name: COUNTER for name in found if name in COUNTERS}
    assignment = _ASSIGN[layout](shapes, [name for name in found if name not in beside])
    known = {wanted.source for wanted in assignment.wanted.values()}
    known.update(copy for wanted in assignment.wanted.values() for copy in wanted.copies)
    left_out = beside | dict(assignment.left_out)
    missing = sorted(known - set(found))
    extra = sorted(set(found) - known - set(left_out))
    if missing or extra:
        raise LayoutError(
            f"The checkpoint does not hold the tensors of the layout {layout}",
            expected=f"{len(shapes)} tensors, as the config demands",
            found=f"missing {_some(missing)}; unexpected {_some(extra)}",
            hint="Check that config and weights are of one model, and that the layout is right.",
        )
    return Assignment(assignment.wanted, left_out)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (", ".join(names[:5]) or "none") + more


# meta-mtp: Meta's names, with extra_heads beside the layers.


def mtp_ffn(config: Config) -> int:
    """The feed-forward width, by Meta's rule: 2/3 of 4 x dim, times a factor, up to a multiple."""
    hidden = int(2 * 4 * number(config, "dim") / 3)
    factor = config.get("ffn_dim_multiplier")
    if factor is not None:
        if (
            isinstance(factor, bool)
            or not isinstance(factor, int | float)
            or not 0 < factor < _MOST
        ):
            raise LayoutError(
                "The config's ffn_dim_multiplier is not usable",
                expected="a number above 0",
                found=ascii(factor)[:80],
            )
        hidden = int(factor * hidden)
    multiple = number(config, "multiple_of")
    return (hidden + multiple - 1) // multiple * multiple


def _mtp_shapes(config: Config) -> dict[str, Shape]:
    config = settled_params(config)
    dim, vocab = number(config, "dim"), number(config, "vocab_size")
    heads, ffn = number(config, "n_heads"), mtp_ffn(config)
    kv_heads = heads if config.get("n_kv_heads") is None else number(config, "n_kv_heads")
    extra = number(config, "n_future_tokens") - 1
    layers = number(config, "n_layers") - extra
    if layers < 1 or dim % heads or heads % kv_heads:
        raise LayoutError(
            "The params.json contradicts itself",
            expected="n_layers >= n_future_tokens, dim divisible by n_heads, n_heads by n_kv_heads",
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


def _assign_mtp(shapes: Mapping[str, Shape], names: Sequence[str]) -> Assignment:
    return Assignment({name: Wanted(shape, name) for name, shape in shapes.items()})


# llama: transformers' LlamaForCausalLM, and the model types that have its tensors (families.py).


def _llama_trunk(layout: LayoutName, config: Config) -> dict[str, Shape]:
    config = settled_config(layout, config)
    family = FAMILIES[str(config["model_type"])]
    dim, ffn = number(config, "hidden_size"), number(config, "intermediate_size")
    heads, kv_heads = number(config, "num_attention_heads"), number(config, "num_key_value_heads")
    head = number(config, "head_dim")
    block = {
        "self_attn.q_proj.weight": (heads * head, dim),
        "self_attn.k_proj.weight": (kv_heads * head, dim),
        "self_attn.v_proj.weight": (kv_heads * head, dim),
        "self_attn.o_proj.weight": (dim, heads * head),
        "mlp.gate_proj.weight": (ffn, dim),
        "mlp.up_proj.weight": (ffn, dim),
        "mlp.down_proj.weight": (dim, ffn),
        "input_layernorm.weight": (dim,),
        "post_attention_layernorm.weight": (dim,),
    }
    if family.qkv_bias:
        block["self_attn.q_proj.bias"] = (heads * head,)
        block["self_attn.k_proj.bias"] = block["self_attn.v_proj.bias"] = (kv_heads * head,)
    if family.qk_norm:
        block["self_attn.q_norm.weight"] = block["self_attn.k_norm.weight"] = (head,)
    layers = range(number(config, "num_hidden_layers"))
    return {
        "embed_tokens.weight": (number(config, "vocab_size"), dim),
        **{f"layers.{i}.{part}": shape for i in layers for part, shape in block.items()},
        "norm.weight": (dim,),
    }


def _llama_shapes(config: Config) -> dict[str, Shape]:
    trunk = _llama_trunk("llama", config)
    shapes = {f"model.{name}": shape for name, shape in trunk.items()}
    if not settled_config("llama", config)["tie_word_embeddings"]:
        shapes["lm_head.weight"] = trunk["embed_tokens.weight"]
    return shapes


def _assign_llama(shapes: Mapping[str, Shape], names: Sequence[str]) -> Assignment:
    wanted = {name: Wanted(shape, name) for name, shape in shapes.items()}
    left_out: dict[str, str] = {}
    embedding, head = "model.embed_tokens.weight", "lm_head.weight"
    if head not in shapes and head in names:
        wanted[embedding] = Wanted(shapes[embedding], embedding, copies=(head,))
        left_out[head] = TIED_HEAD
    return Assignment(wanted, left_out)


# llama-reward: LlamaModel and a v_head. Reward models hold their trunk under one or more prefixes.

REWARD_WEIGHT, REWARD_BIAS = "v_head.weight", "v_head.bias"
_TRUNKS = (
    "transformer.",
    "model.model.",
    "model.",
    "pretrained_model.model.",
    "pretrained_model.",
    "",
)
# What public reward models call the one linear layer that scores a hidden state.
_HEADS = (
    "v_head",  # Starling
    "v_head.summary",  # TRL's value head
    "score",  # transformers' LlamaForSequenceClassification
    "score_head",  # PKU Beaver
    "value_head",  # OpenRLHF
    "value_head.summary",
    "regression_head",  # UltraRM
)
# PKU Beaver's running statistics of scores, which `do_normalize` would apply.
_NORMALIZER = ("normalizer.mean", "normalizer.var", "normalizer.count")


def _reward_shapes(config: Config) -> dict[str, Shape]:
    return {
        **_llama_trunk("llama-reward", config),
        REWARD_WEIGHT: (1, number(config, "hidden_size")),
    }


def _assign_reward(shapes: Mapping[str, Shape], names: Sequence[str]) -> Assignment:
    present = set(names)
    trunks = [t for t in _TRUNKS if f"{t}embed_tokens.weight" in present]
    first, others = (trunks[0], trunks[1:]) if trunks else (_TRUNKS[0], [])
    head = _reward_head(present)
    wanted: dict[str, Wanted] = {}
    for name, shape in shapes.items():
        if name == REWARD_WEIGHT:
            wanted[name] = Wanted(shape, f"{head}.weight")
            if f"{head}.bias" in present:
                wanted[REWARD_BIAS] = Wanted((1,), f"{head}.bias")
        else:
            wanted[name] = Wanted(shape, first + name, tuple(other + name for other in others))
    left_out = {copy: SECOND_TRUNK for one in wanted.values() for copy in one.copies}
    heads = ("lm_head.weight", "model.lm_head.weight", "pretrained_model.lm_head.weight")
    left_out |= {name: UNUSED_HEAD for name in heads if name in present}
    left_out |= {name: UNUSED_NORMALIZER for name in _NORMALIZER if name in present}
    return Assignment(wanted, left_out)


def _reward_head(present: Collection[str]) -> str:
    """What the source calls its reward head; LayoutError where there is none, or more than one."""
    found = [head for head in _HEADS if f"{head}.weight" in present]
    if len(found) > 1:
        raise LayoutError(
            "The checkpoint holds several reward heads",
            expected="one",
            found=", ".join(f"{head}.weight" for head in found),
            hint="Find out which of them the model uses, and save it without the others.",
        )
    if not found:
        raise LayoutError(
            "The checkpoint holds no reward head that the layout llama-reward knows",
            expected="one of " + ", ".join(f"{head}.weight" for head in _HEADS),
            found="none of them",
            hint="Check that the layout is right, or rename the head's tensors to v_head.weight "
            "and v_head.bias.",
        )
    return found[0]


_SHAPES: dict[LayoutName, Callable[[Config], dict[str, Shape]]] = {
    "meta-mtp": _mtp_shapes,
    "llama": _llama_shapes,
    "llama-reward": _reward_shapes,
}
_ASSIGN: dict[LayoutName, Callable[[Mapping[str, Shape], Sequence[str]], Assignment]] = {
    "meta-mtp": _assign_mtp,
    "llama": _assign_llama,
    "llama-reward": _assign_reward,
}
