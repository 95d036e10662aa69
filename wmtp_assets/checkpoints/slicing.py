"""Micro models: a converted checkpoint with fewer layers and heads, every value one of the base's.

What is taken: layers spread evenly over the trunk (and, of a multi-token-prediction model, all of
its heads); of each axis the first rows or columns. Heads are taken whole, so that their size and
the rotary angles stay valid, and a group of query heads keeps its key-value head. A sliced tensor
is a view of the base's, so only what is kept is ever read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.convert import convert
from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.layouts import (
    Config,
    LayoutName,
    expected_shapes,
    mtp_ffn,
    number,
)
from wmtp_assets.checkpoints.planning import Plan, PlannedTensor, sort_for_file
from wmtp_assets.checkpoints.safetensors_file import TensorSpec, read_header
from wmtp_assets.checkpoints.settings import settled_config, settled_params, sliding_layers
from wmtp_assets.checkpoints.tensors import SourceTensor


@dataclass(frozen=True, slots=True)
class MicroShape:
    """How small: `layers` counts every block, heads included; `dim` and `ffn` are widths.

    `vocab` None keeps the whole vocabulary.
    """

    layers: int
    dim: int
    ffn: int
    vocab: int | None = None


@dataclass(frozen=True)
class SlicePlan:
    """A slice before a weight is read: the conversion, the new config, and what is taken.

    `taken` is for metadata.json: lists of layer and head numbers of the base, and [first, end)
    ranges of its residual columns, feed-forward columns and vocabulary.
    """

    plan: Plan
    config: dict[str, object]
    taken: dict[str, object]


@dataclass(frozen=True)
class Sliced:
    """A slice that was written."""

    config: dict[str, object]
    taken: dict[str, object]
    certificate: Certificate


def slice_mtp(base: Path, params: Config, micro: MicroShape, target: Path) -> Sliced:
    """Slice a `meta-mtp` checkpoint; the last of `layers` stays the next-token head."""
    return _write(plan_mtp_slice(base, params, micro), target)


def slice_llama(base: Path, config: Config, micro: MicroShape, target: Path) -> Sliced:
    """Slice a `llama` checkpoint."""
    return _write(plan_llama_slice(base, config, micro), target)


def plan_mtp_slice(base: Path, params: Config, micro: MicroShape) -> SlicePlan:
    """What `slice_mtp` will do. Raises LayoutError where the base cannot be cut so."""
    params = settled_params(params)
    heads = number(params, "n_heads")
    kv_heads = heads if params.get("n_kv_heads") is None else number(params, "n_kv_heads")
    kept, kv_kept = _heads(number(params, "dim"), heads, kv_heads, micro.dim)
    extra = number(params, "n_future_tokens") - 1
    vocab = _at_most("vocabulary", micro.vocab, number(params, "vocab_size"))
    if micro.layers <= extra:
        raise LayoutError(
            "A micro model has too few layers for its prediction heads",
            expected=f"at least {extra + 1} layers: one for each future token",
            found=micro.layers,
        )
    config: dict[str, object] = {
        **params,
        "dim": micro.dim,
        "n_layers": micro.layers,
        "n_heads": kept,
        "n_kv_heads": kv_kept,
        "vocab_size": vocab,
    }
    if mtp_ffn(config) != micro.ffn:
        raise LayoutError(
            "A micro model's feed-forward width cannot be said in params.json",
            expected=f"{mtp_ffn(config)}, by Meta's rule for dim {micro.dim}",
            found=micro.ffn,
            hint="Correct ffn in the catalog.",
        )
    trunk = number(params, "n_layers") - extra - 1
    layers = [*_spread(trunk, micro.layers - extra - 1), trunk]
    taken = {"layers": layers, "extra_heads": list(range(extra))}

    def base_name(name: str) -> str:
        return _renumber(name, "layers", layers)

    ranges = _ranges(kept, kv_kept, micro, vocab)
    return _plan(base, "meta-mtp", config, base_name, taken | ranges)


def plan_llama_slice(base: Path, config: Config, micro: MicroShape) -> SlicePlan:
    """What `slice_llama` will do. Raises LayoutError where the base cannot be cut so."""
    config = settled_config("llama", config)
    if sliding_layers(config):
        raise LayoutError(
            "A model in which only some layers have sliding attention cannot be sliced",
            expected="use_sliding_window: false, or sliding_window: null",
            found=f"sliding_window {config['sliding_window']}",
            where="config.json",
            hint="Slice another model (slice_of in the catalog).",
        )
    heads = number(config, "num_attention_heads")
    kv_key = "num_key_value_heads"
    kv_heads = heads if config.get(kv_key) is None else number(config, kv_key)
    kept, kv_kept = _heads(number(config, "hidden_size"), heads, kv_heads, micro.dim)
    vocab = _at_most("vocabulary", micro.vocab, number(config, "vocab_size"))
    _at_most("feed-forward width", micro.ffn, number(config, "intermediate_size"))
    layers = _spread(number(config, "num_hidden_layers"), micro.layers)
    small: dict[str, object] = {
        **config,
        "hidden_size": micro.dim,
        "intermediate_size": micro.ffn,
        "num_hidden_layers": micro.layers,
        "num_attention_heads": kept,
        kv_key: kv_kept,
        "vocab_size": vocab,
    }
    unrotated = config.get("no_rope_layers")
    if isinstance(unrotated, list):
        small["no_rope_layers"] = [unrotated[layer] for layer in layers]
    for key in ("bos_token_id", "eos_token_id", "pad_token_id"):
        found = config[key]
        ids = found if isinstance(found, list) else [found]
        if any(isinstance(one, int) and one >= vocab for one in ids):
            small[key] = None

    def base_name(name: str) -> str:
        return _renumber(name, "layers", layers)

    ranges = _ranges(kept, kv_kept, micro, vocab)
    return _plan(base, "llama", small, base_name, {"layers": layers} | ranges)


def _write(sliced: SlicePlan, target: Path) -> Sliced:
    return Sliced(sliced.config, sliced.taken, convert(sliced.plan, target))


def _plan(
    base: Path,
    layout: LayoutName,
    config: dict[str, object],
    base_name: Callable[[str], str],
    taken: dict[str, object],
) -> SlicePlan:
    header = read_header(base)
    planned = []
    for name, shape in expected_shapes(layout, config).items():
        source = base_name(name)
        if source not in header.tensors:
            raise LayoutError(f"The base has no tensor {source}", where=base)
        view = _first(header.source_tensor(source), shape)
        planned.append(PlannedTensor(TensorSpec(name, view.dtype, shape), view))
    dtypes = {tensor.spec.dtype for tensor in planned}
    if len(dtypes) != 1:
        raise LayoutError("The base is not of one type", found=sorted(dtypes), where=base)
    return SlicePlan(Plan(layout, dtypes.pop(), sort_for_file(planned)), config, taken)


def _first(tensor: SourceTensor, shape: tuple[int, ...]) -> SourceTensor:
    """The first rows and columns of `tensor`, as many as `shape` says."""
    if len(shape) != len(tensor.shape):
        raise LayoutError(
            f"The base's tensor {tensor.name} cannot be cut",
            expected=f"{len(shape)} axes",
            found=list(tensor.shape),
            where=tensor.file,
        )
    for axis, size in enumerate(shape):
        tensor = tensor.narrow(axis, 0, size)
    return tensor


def _heads(dim: int, heads: int, kv_heads: int, wanted_dim: int) -> tuple[int, int]:
    """How many query and key-value heads a width of `wanted_dim` keeps."""
    size, group = dim // heads, heads // kv_heads
    kept = wanted_dim // size
    if dim % heads or wanted_dim > dim or kept == 0 or wanted_dim % size or kept % group:
        raise LayoutError(
            "A micro model's width does not keep whole attention heads",
            expected=f"a multiple of {size * group} (heads of {size}, in groups of {group}), "
            f"at most {dim}",
            found=wanted_dim,
            hint="Correct dim in the catalog.",
        )
    return kept, kept // group


def _at_most(what: str, wanted: int | None, available: int) -> int:
    if wanted is not None and not 0 < wanted <= available:
        raise LayoutError(
            f"A micro model's {what} cannot be cut from its base",
            expected=f"1 to {available}",
            found=wanted,
        )
    return available if wanted is None else wanted


def _spread(available: int, wanted: int) -> list[int]:
    """`wanted` of 0..available - 1, evenly spread, with the first and (from two on) the last."""
    if wanted > available:
        raise LayoutError(
            "A micro model wants more layers than its base has", expected=available, found=wanted
        )
    if wanted == 1:
        return [0]
    return [round(i * (available - 1) / (wanted - 1)) for i in range(wanted)]


def _renumber(name: str, group: str, numbers: list[int]) -> str:
    """`name` in the base: its `group.<i>.` becomes `group.<numbers[i]>.`."""
    return re.sub(
        rf"(^|\.){group}\.(\d+)\.",
        lambda found: f"{found[1]}{group}.{numbers[int(found[2])]}.",
        name,
    )


def _ranges(heads: int, kv_heads: int, micro: MicroShape, vocab: int) -> dict[str, object]:
    return {
        "attention_heads": list(range(heads)),
        "key_value_heads": list(range(kv_heads)),
        "residual_columns": [0, micro.dim],
        "feed_forward_columns": [0, micro.ffn],
        "vocabulary": [0, vocab],
    }
