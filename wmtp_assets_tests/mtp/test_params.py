"""params.json: its fields, the FFN width that it implies, and what makes it impossible."""

from __future__ import annotations

import pytest

from wmtp_assets.checkpoints.params import ParamsError, ffn_dim_of
from wmtp_assets.mtp.model import ModelArgs
from wmtp_assets_tests.mtp.networks import PARAMS


@pytest.mark.parametrize(
    ("dim", "multiple_of", "ffn"), [(4096, 256, 11008), (512, 256, 1536), (64, 16, 176)]
)
def test_the_ffn_width_follows_llamas_rule(dim: int, multiple_of: int, ffn: int) -> None:
    assert ffn_dim_of({**PARAMS, "dim": dim, "multiple_of": multiple_of}) == ffn


def test_the_ffn_multiplier_widens_before_rounding_up() -> None:
    assert ffn_dim_of({**PARAMS, "dim": 8192, "multiple_of": 4096, "ffn_dim_multiplier": 1.3}) == (
        28672  # LLaMA 3 70B
    )


def test_absent_fields_mean_a_plain_llama() -> None:
    optional = ("n_kv_heads", "n_future_tokens", "ffn_dim_multiplier", "rope_theta")
    args = ModelArgs.from_params({k: v for k, v in PARAMS.items() if k not in optional})
    assert (args.n_kv_heads, args.n_future_tokens, args.rope_theta) == (4, 1, 10000.0)
    assert args.ffn_dim == 176


@pytest.mark.parametrize("field", ["dim", "n_layers", "n_heads", "vocab_size", "norm_eps"])
@pytest.mark.parametrize("value", [None, "64", True, 0, -1, 10**390, 1 << 62])
def test_a_missing_or_senseless_field_is_named(field: str, value: object) -> None:
    with pytest.raises(ParamsError, match=field):
        ModelArgs.from_params({**PARAMS, field: value})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"n_heads": 5}, "dim divisible by n_heads"),
        ({"dim": 68, "n_heads": 4}, "even head size"),
        ({"n_kv_heads": 3}, "divisible by n_kv_heads"),
        ({"n_layers": 3}, "at least one block for each predicted token"),
    ],
)
def test_sizes_that_do_not_fit_together_are_refused(change: dict[str, object], named: str) -> None:
    with pytest.raises(ParamsError, match=named):
        ModelArgs.from_params({**PARAMS, **change})
