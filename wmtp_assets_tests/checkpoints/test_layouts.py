"""What each layout demands of a config, takes from a source, and leaves out with a reason."""

from __future__ import annotations

import math

import pytest

from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.layout import RECOMPUTED, Wanted
from wmtp_assets.checkpoints.layouts import assign, expected_shapes
from wmtp_assets.checkpoints.layouts.llama import TIED_HEAD
from wmtp_assets.checkpoints.layouts.llama_reward import (
    SECOND_TRUNK,
    UNUSED_HEAD,
    UNUSED_NORMALIZER,
)
from wmtp_assets.checkpoints.params import ffn_dim_of
from wmtp_assets_tests.checkpoints.models import (
    LLAMA_CONFIG,
    MTP_PARAMS,
    llama_tensors,
    mtp_tensors,
    reward_tensors,
)

REAL_MTP = MTP_PARAMS | {
    "dim": 4096,
    "n_layers": 32,
    "n_heads": 32,
    "n_kv_heads": 32,
    "n_future_tokens": 4,
    "vocab_size": 32000,
    "multiple_of": 256,
}
REAL_SHEARED = LLAMA_CONFIG | {
    "hidden_size": 2560,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "num_key_value_heads": 20,
    "intermediate_size": 6912,
    "vocab_size": 32000,
}


def test_the_real_models_have_the_published_parameter_counts() -> None:
    mtp = expected_shapes("meta-mtp", REAL_MTP)
    assert sum(map(math.prod, mtp.values())) == 6_738_415_616
    assert len([name for name in mtp if name.startswith("layers.")]) == 29 * 9
    assert len([name for name in mtp if name.startswith("extra_heads.")]) == 3 * 9
    sheared = expected_shapes("llama", REAL_SHEARED)
    assert sum(map(math.prod, sheared.values())) == 2_701_560_320
    assert len(sheared) == 323 - 32


def test_metas_rule_gives_the_real_feed_forward_width() -> None:
    assert ffn_dim_of(REAL_MTP) == 11008
    assert ffn_dim_of(REAL_MTP | {"dim": 512}) == 1536
    assert ffn_dim_of(REAL_MTP | {"ffn_dim_multiplier": None}) == 11008


def test_rotary_tables_are_left_out_by_name_and_not_missed() -> None:
    tensors = mtp_tensors()
    assert assign("meta-mtp", MTP_PARAMS, tensors).left_out == {"freqs_cis": RECOMPUTED}
    del tensors["freqs_cis"]
    assert assign("meta-mtp", MTP_PARAMS, tensors).left_out == {}
    tensors["rope.freqs"] = tensors["norm.weight"]
    assert assign("meta-mtp", MTP_PARAMS, tensors).left_out == {"rope.freqs": RECOMPUTED}
    assert set(assign("llama", LLAMA_CONFIG, llama_tensors()).left_out.values()) == {RECOMPUTED}


def test_missing_and_unexpected_tensors_are_named() -> None:
    tensors = mtp_tensors()
    tensors["layers.0.attention.wz.weight"] = tensors.pop("layers.0.attention.wq.weight")
    with pytest.raises(LayoutError) as caught:
        assign("meta-mtp", MTP_PARAMS, tensors)
    assert "missing layers.0.attention.wq.weight" in str(caught.value)
    assert "unexpected layers.0.attention.wz.weight" in str(caught.value)


def test_a_dropped_extra_head_is_missed() -> None:
    tensors = {n: t for n, t in mtp_tensors().items() if not n.startswith("extra_heads.1.")}
    with pytest.raises(LayoutError, match=r"missing extra_heads\.1\."):
        assign("meta-mtp", MTP_PARAMS, tensors)


def test_a_reward_model_keeps_one_trunk_and_its_head() -> None:
    assignment = assign("llama-reward", LLAMA_CONFIG, reward_tensors(shared=True))
    wanted = assignment.wanted["layers.0.mlp.up_proj.weight"]
    assert wanted.source == "transformer.layers.0.mlp.up_proj.weight"
    assert wanted.copies == ("model.model.layers.0.mlp.up_proj.weight",)
    assert assignment.wanted["v_head.weight"].copies == ()
    assert assignment.left_out["model.model.norm.weight"] == SECOND_TRUNK
    assert assignment.left_out["model.lm_head.weight"] == UNUSED_HEAD


@pytest.mark.parametrize("prefix", ["transformer.", "model.model.", "model."])
def test_a_reward_model_with_a_single_trunk_under_any_known_name_is_taken(prefix: str) -> None:
    names = [
        name if name == "v_head.weight" else prefix + name
        for name in expected_shapes("llama-reward", LLAMA_CONFIG)
    ]
    assignment = assign("llama-reward", LLAMA_CONFIG, names)
    assert assignment.wanted["norm.weight"].source == f"{prefix}norm.weight"
    assert assignment.left_out == {}


# Each as a public reward model stores it: transformers' sequence classifier, TRL's value head,
# OpenRLHF, UltraRM, PKU Beaver.
@pytest.mark.parametrize(
    "head",
    [
        "score",
        "score_head",
        "v_head",
        "v_head.summary",
        "value_head",
        "value_head.summary",
        "regression_head",
    ],
)
@pytest.mark.parametrize(
    "prefix", ["", "model.", "transformer.", "pretrained_model.", "pretrained_model.model."]
)
@pytest.mark.parametrize("bias", [False, True])
def test_reward_heads_of_every_common_name_get_one_name(head: str, prefix: str, bias: bool) -> None:
    trunk = set(expected_shapes("llama-reward", LLAMA_CONFIG)) - {"v_head.weight"}
    names = [f"{prefix}{name}" for name in trunk] + [f"{head}.weight"]
    names += [f"{head}.bias"] * bias
    assignment = assign("llama-reward", LLAMA_CONFIG, names)
    assert assignment.wanted["v_head.weight"] == Wanted((1, 64), f"{head}.weight")
    assert assignment.wanted.get("v_head.bias") == (Wanted((1,), f"{head}.bias") if bias else None)
    assert assignment.wanted["norm.weight"].source == f"{prefix}norm.weight"
    assert assignment.wanted.keys() == trunk | {"v_head.weight"} | (
        {"v_head.bias"} if bias else set()
    )
    assert assignment.left_out == {}


@pytest.mark.parametrize("prefix", ["", "model.", "pretrained_model."])
def test_a_language_head_beside_a_reward_head_is_left_out(prefix: str) -> None:
    trunk = set(expected_shapes("llama-reward", LLAMA_CONFIG)) - {"v_head.weight"}
    names = [*(f"{prefix}{name}" for name in trunk), "score.weight", f"{prefix}lm_head.weight"]
    assert assign("llama-reward", LLAMA_CONFIG, names).left_out == {
        f"{prefix}lm_head.weight": UNUSED_HEAD
    }


def test_statistics_of_scores_beside_a_reward_head_are_left_out() -> None:
    normalizer = [f"normalizer.{name}" for name in ("mean", "var", "count")]
    names = [*expected_shapes("llama-reward", LLAMA_CONFIG), *normalizer]
    left_out = assign("llama-reward", LLAMA_CONFIG, names).left_out
    assert left_out == dict.fromkeys(normalizer, UNUSED_NORMALIZER)
    with pytest.raises(LayoutError, match=r"unexpected normalizer\.count"):
        assign("llama", LLAMA_CONFIG, [*expected_shapes("llama", LLAMA_CONFIG), *normalizer])


def test_two_reward_heads_are_refused_by_name() -> None:
    names = [*expected_shapes("llama-reward", LLAMA_CONFIG), "score.weight"]
    with pytest.raises(LayoutError, match=r"several reward heads.* v_head\.weight, score\.weight"):
        assign("llama-reward", LLAMA_CONFIG, names)


def test_a_bias_of_another_head_is_refused_by_name() -> None:
    names = [*expected_shapes("llama-reward", LLAMA_CONFIG), "score.bias"]
    with pytest.raises(LayoutError, match=r"unexpected score\.bias"):
        assign("llama-reward", LLAMA_CONFIG, names)


def test_a_reward_model_without_a_known_head_is_refused_with_the_known_ones() -> None:
    names = [*_llama_names(), "reward.weight"]
    with pytest.raises(
        LayoutError, match=r"no reward head.*v_head\.weight.*regression_head\.weight"
    ):
        assign("llama-reward", LLAMA_CONFIG, names)


def _llama_names() -> list[str]:
    return [name for name in expected_shapes("llama-reward", LLAMA_CONFIG) if "v_head" not in name]


def test_a_second_trunk_that_lacks_a_tensor_is_refused_by_name() -> None:
    tensors = reward_tensors(shared=False)
    del tensors["model.model.norm.weight"]
    with pytest.raises(LayoutError, match=r"missing model\.model\.norm\.weight"):
        assign("llama-reward", LLAMA_CONFIG, tensors)


def test_a_tied_language_head_must_equal_the_embedding() -> None:
    config = LLAMA_CONFIG | {"tie_word_embeddings": True}
    assignment = assign("llama", config, llama_tensors())
    assert assignment.wanted["model.embed_tokens.weight"].copies == ("lm_head.weight",)
    assert assignment.left_out["lm_head.weight"] == TIED_HEAD


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"dim": None}, "dim is not usable"),
        ({"n_heads": True}, "n_heads is not usable"),
        ({"n_heads": 7}, "contradicts itself"),
        ({"n_layers": 1}, "contradicts itself"),
        ({"n_layers": 4_294_967_296}, "n_layers is not usable"),
        ({"n_layers": 5_000, "n_future_tokens": 1 << 62}, "n_future_tokens is not usable"),
        ({"dim": 10**390}, "dim is not usable"),
        ({"ffn_dim_multiplier": 1e308}, "ffn_dim_multiplier is not usable"),
        ({"ffn_dim_multiplier": 10**390}, "ffn_dim_multiplier is not usable"),
        ({"ffn_dim_multiplier": -1}, "ffn_dim_multiplier is not usable"),
        ({"ffn_dim_multiplier": True}, "ffn_dim_multiplier is not usable"),
        ({"ffn_dim_multiplier": "1.3"}, "ffn_dim_multiplier is not usable"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(change: dict[str, object], problem: str) -> None:
    with pytest.raises(LayoutError, match=problem):
        expected_shapes("meta-mtp", MTP_PARAMS | change)


def test_a_llama_with_biases_is_no_known_layout() -> None:
    with pytest.raises(LayoutError, match="biases"):
        expected_shapes("llama", LLAMA_CONFIG | {"attention_bias": True})


@pytest.mark.parametrize("layout", ["llama", "llama-reward"])
def test_a_config_of_more_layers_than_any_network_is_refused_at_once(layout: str) -> None:
    with pytest.raises(LayoutError, match="num_hidden_layers is not usable"):
        expected_shapes(layout, LLAMA_CONFIG | {"num_hidden_layers": 4_294_967_296})
