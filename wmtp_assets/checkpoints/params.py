"""Meta's params.json, read with care and without torch: its fields, and the FFN width they imply.

Belongs here: what can be known from the document alone. What the tensors say is compared with it
in `configs.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from wmtp_assets.checkpoints.errors import LayoutError

_MOST = 1 << 60  # of any size or factor: products of two stay finite


class ParamsError(LayoutError):
    """params.json lacks a field, has one of the wrong type, or describes no possible network."""


def integer(params: Mapping[str, object], field: str, default: int | None = None) -> int:
    """A positive integer of params.json; `default` where the field may be absent or null."""
    value = params.get(field)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise ParamsError(
            "params.json has no usable value for this field",
            expected=f"{field}: a positive integer",
            found=ascii(value)[:80],
            where=f"params.json: {field}",
        )
    return value


def positive(params: Mapping[str, object], field: str, default: float | None = None) -> float:
    """A positive number of params.json; `default` where the field may be absent or null."""
    value = params.get(field)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _MOST:
        raise ParamsError(
            "params.json has no usable value for this field",
            expected=f"{field}: a positive number",
            found=ascii(value)[:80],
            where=f"params.json: {field}",
        )
    return float(value)


def ffn_dim_of(params: Mapping[str, object]) -> int:
    """The FFN width by LLaMA's rule: 2/3 of 4 x dim, times the multiplier, up to a multiple.

    4096 wide with multiple_of 256 gives 11008; 512 wide gives 1536.
    """
    width = 2 * 4 * integer(params, "dim") // 3
    width = int(positive(params, "ffn_dim_multiplier", default=1.0) * width)
    multiple = integer(params, "multiple_of")
    return multiple * ((width + multiple - 1) // multiple)


def check_sizes(params: Mapping[str, object]) -> None:
    """Raise ParamsError unless heads divide the width, groups the heads, and a trunk side is left.

    Head size must be even, because rotary angles turn pairs of channels.
    """
    dim, heads = integer(params, "dim"), integer(params, "n_heads")
    kv_heads = integer(params, "n_kv_heads", default=heads)
    layers = integer(params, "n_layers")
    future = integer(params, "n_future_tokens", default=1)
    for holds, expected, found in (
        (dim % heads == 0, "dim divisible by n_heads", f"dim {dim}, n_heads {heads}"),
        (dim // heads % 2 == 0, "an even head size", f"dim {dim} / n_heads {heads}"),
        (
            heads % kv_heads == 0,
            "n_heads divisible by n_kv_heads",
            f"n_heads {heads}, n_kv_heads {kv_heads}",
        ),
        (
            layers >= future,
            "at least one block for each predicted token",
            f"n_layers {layers}, n_future_tokens {future}",
        ),
    ):
        if not holds:
            raise ParamsError(
                "params.json describes no possible network",
                expected=expected,
                found=found,
                where="params.json",
            )
