"""Every setting of every accepted model_type is left out of config.json once: it then means what
transformers' own class assumes, or it is demanded by name."""

from __future__ import annotations

from typing import Any

import pytest

from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.families import FAMILIES
from wmtp_assets.checkpoints.layouts.llama import LAYOUT
from wmtp_assets.checkpoints.params import ParamsError
from wmtp_assets_tests.checkpoints.lookalikes import SIZES

DEMANDED = {
    "model_type",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
}
DEPENDENT = {"rope_parameters", "rope_scaling", "rope_theta", "architectures"}


def stated(model_type: str) -> dict[str, Any]:
    """A config.json with every setting that ours would hold, each at a value of its own."""
    own = {**SIZES, "model_type": model_type, "rms_norm_eps": 2e-5, "head_dim": 32}
    # So that the number of key-value heads that each class assumes divides it.
    own |= {"hidden_size": 256, "num_attention_heads": 32, "num_key_value_heads": 2}
    own |= {"rope_theta": 50000.0, "initializer_range": 0.03, "attention_dropout": 0.1}
    return LAYOUT.settled(own)


def assumed(config: dict[str, Any]) -> dict[str, Any]:
    """What transformers' class says of `config`, where it is silent too."""
    import transformers

    given = {key: value for key, value in config.items() if key != "model_type"}
    made = transformers.CONFIG_MAPPING[config["model_type"]](**given)
    return made.to_dict()


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_setting_that_is_left_out_means_what_its_class_assumes(model_type: str) -> None:
    whole = stated(model_type)
    for key in whole:
        config = {name: value for name, value in whole.items() if name != key}
        if key in DEMANDED:
            with pytest.raises(LayoutError, match=key):
                LAYOUT.settled(config)
            continue
        if key in DEPENDENT:
            # Two vocabularies say it, so that one may be left out.
            assert LAYOUT.settled(config) == whole, key
            continue
        ours = LAYOUT.settled(config)
        theirs = assumed(config)
        if key == "head_dim" and theirs.get(key) is None:
            theirs[key] = ours["hidden_size"] // ours["num_attention_heads"]
        if key.endswith("_token_id") and (theirs[key] or 0) >= ours["vocab_size"]:
            theirs[key] = None  # an id that no token of this model has
        if key == "sliding_window" and ours.get("use_sliding_window") is False:
            theirs[key] = ours[key]  # is not looked at
        if key == "hidden_activation":
            theirs[key] = theirs["hidden_act"]  # the name of it in older versions
        assert ours[key] == theirs[key], key
        assert {k: v for k, v in ours.items() if k != key} == {
            k: v for k, v in whole.items() if k != key
        }, key


PARAMS = {
    "dim": 64,
    "n_layers": 6,
    "n_heads": 4,
    "n_kv_heads": 2,
    "n_future_tokens": 4,
    "vocab_size": 512,
    "multiple_of": 16,
    "ffn_dim_multiplier": 1.5,
    "norm_eps": 2e-5,
    "rope_theta": 50000.0,
}
# What Meta's ModelArgs assume (facebook/multi-token-prediction's model.py). rope_theta is read from
# the checkpoint's own table where it is left out: test_rotary.py.
ASSUMED: dict[str, Any] = {
    "n_kv_heads": 4,
    "ffn_dim_multiplier": 1.0,
    "norm_eps": 1e-5,
}


@pytest.mark.parametrize("key", [key for key in PARAMS if key != "rope_theta"])
def test_a_field_that_params_json_leaves_out_means_what_metas_class_assumes(key: str) -> None:
    from wmtp_assets.checkpoints.layouts.meta_mtp import LAYOUT as META

    silent = {name: value for name, value in PARAMS.items() if name != key}
    if key not in ASSUMED:
        with pytest.raises((LayoutError, ParamsError), match=key):
            META.shapes(silent)
        return
    assert META.shapes(silent) == META.shapes({**PARAMS, key: ASSUMED[key]})
    assert META.shapes({**silent, key: None}) == META.shapes(silent)
    assert META.rope(silent) == META.rope({**PARAMS, key: ASSUMED[key]})
