"""How a smaller model is cut from a larger one: which layers and heads, and ranges of the rest."""

from __future__ import annotations

from dataclasses import dataclass

from wmtp_assets.checkpoints.errors import LayoutError


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
class Cut:
    """What a layout cuts: the new config, the base's number of each new layer, and what is kept.

    `taken` is for metadata.json: lists of layer and head numbers of the base, and [first, end)
    ranges of its residual columns, feed-forward columns and vocabulary.
    """

    config: dict[str, object]
    layers: list[int]
    taken: dict[str, object]


def kept_heads(dim: int, heads: int, kv_heads: int, wanted_dim: int) -> tuple[int, int]:
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


def at_most(what: str, wanted: int | None, available: int) -> int:
    """`wanted`, or all where it is None. Raises LayoutError where it is not available."""
    if wanted is not None and not 0 < wanted <= available:
        raise LayoutError(
            f"A micro model's {what} cannot be cut from its base",
            expected=f"1 to {available}",
            found=wanted,
        )
    return available if wanted is None else wanted


def spread(available: int, wanted: int) -> list[int]:
    """`wanted` of 0..available - 1, evenly spread, with the first and (from two on) the last."""
    if wanted > available:
        raise LayoutError(
            "A micro model wants more layers than its base has", expected=available, found=wanted
        )
    if wanted == 1:
        return [0]
    return [round(i * (available - 1) / (wanted - 1)) for i in range(wanted)]


def ranges(heads: int, kv_heads: int, micro: MicroShape, vocab: int) -> dict[str, object]:
    """What is kept of each axis, for `Cut.taken`."""
    return {
        "attention_heads": list(range(heads)),
        "key_value_heads": list(range(kv_heads)),
        "residual_columns": [0, micro.dim],
        "feed_forward_columns": [0, micro.ffn],
        "vocabulary": [0, vocab],
    }
