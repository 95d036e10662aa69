"""The settings of real files are known, unknown ones are refused by name, no text is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.checkpoints.configs import derived_config
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.layouts import expected_shapes, layout_named
from wmtp_assets.checkpoints.safetensors_file import Header, TensorInfo
from wmtp_assets_tests.checkpoints.models import LLAMA_CONFIG, MTP_PARAMS


def header_of(layout: str, config: dict[str, Any]) -> Header:
    shapes = expected_shapes(layout, config)
    tensors = {n: TensorInfo(DType.FLOAT16, shape, 0, 0) for n, shape in shapes.items()}
    return Header(Path("model.safetensors"), tensors, 0, 0)


def derived(config: dict[str, Any], layout: str = "llama") -> dict[str, Any]:
    return derived_config(layout, config, header_of(layout, config))


COMMON = {
    "attention_bias": False,
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.40.0",
    "use_cache": True,
}


def config_of(
    kind: str, name: str, hidden: int, ffn: int, layers: int, heads: int, kv: int, **more: Any
) -> dict[str, Any]:
    return {
        "architectures": [name],
        "model_type": kind,
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        **COMMON,
        **more,
    }


# The settings of public models' config.json files, at their real sizes.
PUBLIC: dict[str, dict[str, Any]] = {
    "Llama-3.1-8B": config_of(
        "llama",
        "LlamaForCausalLM",
        4096,
        14336,
        32,
        32,
        8,
        bos_token_id=128000,
        eos_token_id=[128001, 128008, 128009],
        vocab_size=128256,
        max_position_embeddings=131072,
        mlp_bias=False,
        pretraining_tp=1,
        rope_theta=500000.0,
        tie_word_embeddings=False,
        rope_scaling={
            "factor": 8.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192,
            "rope_type": "llama3",
        },
    ),
    "TinyLlama": config_of(
        "llama",
        "LlamaForCausalLM",
        2048,
        5632,
        22,
        32,
        4,
        bos_token_id=1,
        eos_token_id=2,
        vocab_size=32000,
        max_position_embeddings=2048,
        pretraining_tp=1,
        rope_theta=10000.0,
        tie_word_embeddings=False,
    ),
    "llama-7b of 2023": {
        "architectures": ["LLaMAForCausalLM"],
        "bos_token_id": 0,
        "eos_token_id": 1,
        "hidden_act": "silu",
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "initializer_range": 0.02,
        "max_sequence_length": 2048,
        "model_type": "llama",
        "num_attention_heads": 32,
        "num_hidden_layers": 32,
        "pad_token_id": -1,
        "rms_norm_eps": 1e-06,
        "torch_dtype": "float16",
        "transformers_version": "4.27.0.dev0",
        "use_cache": True,
        "vocab_size": 32000,
    },
    "deepseek-coder": config_of(
        "llama",
        "LlamaForCausalLM",
        2048,
        5504,
        24,
        16,
        16,
        bos_token_id=32013,
        eos_token_id=32014,
        vocab_size=32256,
        max_position_embeddings=16384,
        pretraining_tp=1,
        rope_theta=100000,
        rope_scaling={"factor": 4.0, "type": "linear"},
        tie_word_embeddings=False,
    ),
    "SmolLM2": config_of(
        "llama",
        "LlamaForCausalLM",
        576,
        1536,
        30,
        9,
        3,
        bos_token_id=0,
        eos_token_id=0,
        vocab_size=49152,
        max_position_embeddings=8192,
        is_llama_config=True,
        mlp_bias=False,
        pretraining_tp=1,
        rope_interleaved=False,
        rope_theta=100000,
        tie_word_embeddings=True,
        **{"transformers.js_config": {"kv_cache_dtype": {"q4f16": "float16"}}},
    ),
    "Mistral-7B-v0.1": config_of(
        "mistral",
        "MistralForCausalLM",
        4096,
        14336,
        32,
        32,
        8,
        bos_token_id=1,
        eos_token_id=2,
        vocab_size=32000,
        max_position_embeddings=32768,
        rope_theta=10000.0,
        sliding_window=4096,
        tie_word_embeddings=False,
    ),
    "Mistral-7B-v0.3": config_of(
        "mistral",
        "MistralForCausalLM",
        4096,
        14336,
        32,
        32,
        8,
        bos_token_id=1,
        eos_token_id=2,
        vocab_size=32768,
        max_position_embeddings=32768,
        rope_theta=1000000.0,
        sliding_window=None,
        tie_word_embeddings=False,
        head_dim=128,
    ),
    "granite-3.1-2b": config_of(
        "granite",
        "GraniteForCausalLM",
        2048,
        8192,
        40,
        32,
        8,
        attention_dropout=0.1,
        attention_multiplier=0.015625,
        bos_token_id=0,
        eos_token_id=0,
        embedding_multiplier=12.0,
        logits_scaling=8.0,
        max_position_embeddings=131072,
        mlp_bias=False,
        pad_token_id=0,
        residual_multiplier=0.22,
        rope_theta=5000000.0,
        tie_word_embeddings=True,
        vocab_size=49152,
    ),
    "gemma-2b": config_of(
        "gemma",
        "GemmaForCausalLM",
        2048,
        16384,
        18,
        8,
        1,
        bos_token_id=2,
        eos_token_id=1,
        pad_token_id=0,
        head_dim=256,
        hidden_act="gelu",
        hidden_activation=None,
        max_position_embeddings=8192,
        rope_theta=10000.0,
        vocab_size=256000,
    ),
    "SmolLM3-3B": config_of(
        "smollm3",
        "SmolLM3ForCausalLM",
        2048,
        11008,
        36,
        16,
        4,
        bos_token_id=128000,
        eos_token_id=128012,
        pad_token_id=128004,
        mlp_bias=False,
        layer_types=["full_attention"] * 36,
        max_position_embeddings=65536,
        max_window_layers=28,
        no_rope_layer_interval=4,
        no_rope_layers=[1, 1, 1, 0] * 9,
        pretraining_tp=2,
        rope_theta=5000000.0,
        sliding_window=None,
        use_sliding_window=False,
        vocab_size=128256,
    ),
    "Qwen2.5-0.5B": config_of(
        "qwen2",
        "Qwen2ForCausalLM",
        896,
        4864,
        24,
        14,
        2,
        bos_token_id=151643,
        eos_token_id=151643,
        max_position_embeddings=32768,
        max_window_layers=24,
        rope_theta=1000000.0,
        sliding_window=32768,
        tie_word_embeddings=True,
        use_mrope=False,
        use_sliding_window=False,
        vocab_size=151936,
        attention_bias=None,
    ),
    "Qwen3-0.6B": config_of(
        "qwen3",
        "Qwen3ForCausalLM",
        1024,
        3072,
        28,
        16,
        8,
        bos_token_id=151643,
        eos_token_id=151645,
        head_dim=128,
        max_position_embeddings=40960,
        max_window_layers=28,
        rope_theta=1000000,
        sliding_window=None,
        tie_word_embeddings=True,
        use_sliding_window=False,
        vocab_size=151936,
    ),
}
STARLING = {
    "_name_or_path": "meta-llama/Llama-2-7b-chat-hf",
    "architectures": ["LLMForSequenceRegression"],
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 11008,
    "max_position_embeddings": 4096,
    "model_type": "llama",
    "num_attention_heads": 32,
    "num_hidden_layers": 32,
    "num_key_value_heads": 32,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "transformers_version": "4.32.0.dev0",
    "use_cache": True,
    "vocab_size": 32000,
}


@pytest.mark.parametrize("name", PUBLIC)
def test_the_settings_of_public_models_are_known(name: str) -> None:
    config = PUBLIC[name]
    ours = derived(config)
    assert ours["model_type"] == config["model_type"]
    assert ours["rope_theta"] == ours["rope_parameters"]["rope_theta"]
    assert ours["rope_theta"] == config.get("rope_theta", 10000.0)
    kept = {"attention_multiplier", "no_rope_layers", "sliding_window", "eos_token_id"}
    assert {k: ours[k] for k in kept & config.keys() & ours.keys()} == {
        k: config[k] for k in kept & config.keys() & ours.keys()
    }
    assert derived(ours) == ours
    assert json.loads(json.dumps(ours, allow_nan=False)) == ours


def test_a_config_is_the_same_for_transformers_as_upstreams(tmp_path: Path) -> None:
    """AutoConfig makes the same of both, but for what it does not compute with."""
    from transformers import AutoConfig

    ignored = {
        "_name_or_path",
        "architectures",
        "dtype",
        "transformers_version",
        "pretraining_tp",
        "layer_types",
        "max_sequence_length",
        "is_llama_config",
        "rope_interleaved",
        "transformers.js_config",
        "max_window_layers",
        "use_mrope",
        "hidden_activation",
        "attention_bias",
        "mlp_bias",
        "sliding_window",
        "use_bidirectional_attention",
    }
    for name, config in PUBLIC.items():
        made = []
        for which, document in (("theirs", config), ("ours", derived(config))):
            folder = tmp_path / name / which
            folder.mkdir(parents=True)
            (folder / "config.json").write_text(json.dumps(document))
            loaded = AutoConfig.from_pretrained(folder).to_dict()
            made.append({k: v for k, v in loaded.items() if k not in ignored})
        if config.get("pad_token_id") == -1:
            made[0]["pad_token_id"] = None
        theirs, ours = ({k: v for k, v in one.items() if v is not None} for one in made)
        assert ours == {k: theirs.get(k, v) for k, v in ours.items()}, name
        assert theirs.keys() <= ours.keys() | {"rope_theta", "attention_dropout"}, name


def test_starlings_own_config_is_that_of_a_reward_model() -> None:
    ours = derived(STARLING, "llama-reward")
    assert (ours["architectures"], ours["model_type"]) == (["LlamaModel"], "llama")
    with pytest.raises(LayoutError, match="does not accept these architectures"):
        derived(STARLING)


# What PKU Beaver's and OpenRLHF's own classes write beside LLaMA's settings.
HEADS: dict[str, dict[str, Any]] = {
    "PKU Beaver": {
        "architectures": ["LlamaForScore"],
        "score_type": "reward",
        "score_dim": 1,
        "score_bias": True,
        "do_normalize": False,
        "normalizer_type": None,
        "momentum": None,
    },
    "PKU Beaver's first": {
        "architectures": ["LlamaModelForScore"],
        "score_dim": 1,
        "bias": True,
        "do_normalize": False,
        "normalizer_type": "ema",
    },
    "OpenRLHF": {
        "architectures": ["LLMForSequenceRegression"],
        "value_head_prefix": "score",
        "packing_samples": True,
        "mean": 0,
        "std": 1.0,
    },
}


@pytest.mark.parametrize("name", HEADS)
def test_what_classes_of_reward_models_write_is_accepted_of_them_alone(name: str) -> None:
    plain = derived({**LLAMA_CONFIG, "architectures": ["LlamaModel"]}, "llama-reward")
    assert derived({**LLAMA_CONFIG, **HEADS[name]}, "llama-reward") == plain
    with pytest.raises(LayoutError, match=r"may change what|changes what"):
        derived({**LLAMA_CONFIG, **HEADS[name], "architectures": ["LlamaForCausalLM"]})


@pytest.mark.parametrize(
    ("key", "value"),
    [("do_normalize", True), ("normalize_reward", True), ("score_dim", 2), ("mean", 0.5)],
)
def test_a_reward_that_is_changed_after_its_head_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(LayoutError, match=f"config.json's {key} changes what the network computes"):
        derived({**LLAMA_CONFIG, key: value}, "llama-reward")


HOSTILE: dict[str, Any] = {
    "attn_implementation": "kernels-community/flash-attn",
    "_attn_implementation": "someone/kernels@main:attention",
    "_attn_implementation_internal": "someone/kernels",
    "_attn_implementation_autoset": True,
    "experts_implementation": "someone/kernels",
    "_experts_implementation": "someone/kernels",
    "auto_map": {"AutoConfig": "someone/code--configuration.Config"},
    "trust_remote_code": True,
    "custom_pipelines": {"text-generation": {"impl": "code.Pipeline"}},
    "_name_or_path": "/home/someone",
    "name_or_path": "someone/model",
    "torch_dtype": "os.system",
    "dtype": "__import__('os')",
    "transformers_version": "<script>",
    "use_kernels": True,
    "tokenizer_class": "SomeTokenizer",
    "_commit_hash": "main",
    "id2label": {"0": "x"},
    "task_specific_params": {"x": "y"},
}


@pytest.mark.parametrize("key", HOSTILE)
def test_no_text_of_upstreams_that_names_code_is_kept(key: str) -> None:
    ours = derived({**LLAMA_CONFIG, key: HOSTILE[key]})
    assert ours == derived(LLAMA_CONFIG)
    assert key in ("torch_dtype", "dtype") or key not in ours
    assert {v for v in ours.values() if isinstance(v, str)} == {"llama", "silu", "float16"}


UNKNOWN: dict[str, Any] = {
    "kernel_config": {"x": "someone/kernels"},
    "quantization_config": {"quant_method": "gptq", "bits": 4},
    "embedding_multiplier": 12.0,
    "attention_multiplier": 0.0078125,
    "residual_multiplier": 0.22,
    "logits_scaling": 8,
    "logit_scale": 0.0625,
    "final_logit_softcapping": 30.0,
    "attn_logit_softcapping": 50.0,
    "no_rope_layers": [1, 1, 1, 0, 1],
    "no_rope_layer_interval": 4,
    "attention_bias": True,
    "mlp_bias": True,
    "use_bias": True,
    "sliding_window": 8,
    "layer_types": ["full_attention"] * 4 + ["sliding_attention"],
    "hidden_act": "gelu",
    "hidden_activation": "gelu",
    "partial_rotary_factor": 0.5,
    "rope_interleaved": True,
    "use_mrope": True,
    "is_encoder_decoder": True,
    "pruned_heads": {"0": [1]},
    "clip_qkv": 8.0,
    "num_experts": 8,
    "num_local_experts": 8,
    "per_layer_config": {"0": {}},
    "text_config": {},
    "scale_emb": 12,
    "some_new_setting": 1,
    "another": False,
}


@pytest.mark.parametrize("key", UNKNOWN)
def test_a_setting_that_changes_the_arithmetic_or_is_not_known_is_refused_by_name(
    key: str,
) -> None:
    config = {**LLAMA_CONFIG, key: UNKNOWN[key]}
    with pytest.raises(LayoutError, match=key) as caught:
        expected_shapes("llama", config)
    assert caught.value.expected
    assert caught.value.found
    assert caught.value.where == "config.json"
    assert caught.value.hint
    derived({**LLAMA_CONFIG, key: None})  # as good as absent


NEUTRAL: dict[str, Any] = {
    "sliding_window": 64,  # as long as max_position_embeddings
    "embedding_multiplier": 1.0,
    "attention_bias": False,
    "layer_types": ["full_attention"] * 5,
    "use_sliding_window": False,
    "partial_rotary_factor": 1.0,
    "pretraining_tp": 2,
    "hidden_act": "swish",
    "head_dim": 16,
    "rope_scaling": {"type": "default"},
    "rope_theta": 10000,
    "tie_word_embeddings": False,
    "bias": False,
}


@pytest.mark.parametrize("key", NEUTRAL)
def test_a_setting_at_the_value_at_which_it_does_nothing_is_accepted(key: str) -> None:
    assert derived({**LLAMA_CONFIG, key: NEUTRAL[key]}) == derived(LLAMA_CONFIG)


def test_a_window_that_is_switched_off_is_accepted() -> None:
    off = {**LLAMA_CONFIG, "sliding_window": 8, "use_sliding_window": False}
    assert derived(off) == derived(LLAMA_CONFIG)


WRONG: list[tuple[str, Any]] = [
    ("rope_theta", 0),
    ("rope_theta", -1.0),
    ("rope_theta", "10000"),
    ("rope_theta", True),
    ("rope_theta", float("inf")),
    ("rope_theta", float("nan")),
    ("rope_scaling", "linear"),
    ("rope_scaling", {"type": "linear"}),
    ("rope_scaling", {"type": "linear", "factor": 0.5}),
    ("rope_scaling", {"type": "linear", "factor": "2"}),
    ("rope_scaling", {"type": "longrope", "factor": 2.0}),
    ("rope_scaling", {"type": "mrope", "mrope_section": [1, 2]}),
    ("rope_scaling", {"type": "linear", "rope_type": "dynamic", "factor": 2.0}),
    ("rope_scaling", {"type": ["linear"], "factor": 2.0}),
    ("rope_scaling", {"type": "linear", "factor": 2.0, "secret": 1}),
    ("rope_scaling", {"rope_type": "llama3", "factor": 8.0}),
    ("rope_parameters", {"rope_theta": 5.0, "rope_type": "default", "partial_rotary_factor": 0.5}),
    ("rope_parameters", {"full_attention": {"rope_theta": 5.0, "rope_type": "default"}}),
    ("rms_norm_eps", 0),
    ("rms_norm_eps", 1.5),
    ("rms_norm_eps", "1e-5"),
    ("vocab_size", 0),
    ("vocab_size", True),
    ("vocab_size", 96.0),
    ("vocab_size", 1 << 40),
    ("num_key_value_heads", 3),
    ("head_dim", 15),
    ("max_position_embeddings", -1),
    ("use_cache", "yes"),
    ("tie_word_embeddings", 1),
    ("attention_dropout", 1.0),
    ("initializer_range", -0.1),
    ("bos_token_id", 96),
    ("bos_token_id", -1),
    ("eos_token_id", [2, "</s>"]),
    ("eos_token_id", []),
    ("pad_token_id", True),
    ("pad_token_id", "0"),
    ("sliding_window", 0),
    ("sliding_window", "8"),
    ("use_sliding_window", 1),
    ("hidden_act", ["silu"]),
    ("layer_types", "full_attention"),
]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_a_value_of_the_wrong_type_or_range_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(LayoutError, match=f"{key}|no possible network"):
        expected_shapes("llama", {**LLAMA_CONFIG, key: value})


def test_layers_beyond_those_of_any_network_are_refused_before_anything_is_made_for_each() -> None:
    """Two billion of them took 16 GB."""
    most = {**LLAMA_CONFIG, "num_hidden_layers": 10_000}
    assert layout_named("llama").settled(most)["num_hidden_layers"] == 10_000
    with pytest.raises(LayoutError, match=r"num_hidden_layers is not usable.*10,000 at most"):
        layout_named("llama").settled({**LLAMA_CONFIG, "num_hidden_layers": 10_001})


def test_two_answers_about_rope_are_refused() -> None:
    for theirs in (
        {"rope_theta": 1e4, "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}},
        {
            "rope_scaling": {"type": "linear", "factor": 2.0},
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
        },
    ):
        with pytest.raises(LayoutError, match=r"contradict|two values"):
            derived({**LLAMA_CONFIG, **theirs})


@pytest.mark.parametrize(
    ("rope", "theta", "scaling"),
    [
        ({}, 10000.0, None),
        ({"rope_theta": 500000}, 500000.0, None),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, 500000.0, None),
        (
            {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2}},
            10000.0,
            {"type": "linear", "factor": 2.0},
        ),
        (
            {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}},
            10000.0,
            {"type": "dynamic", "factor": 2.0},
        ),
    ],
)
def test_rope_is_stated_for_transformers_4_and_5(
    rope: dict[str, Any], theta: float, scaling: dict[str, Any] | None
) -> None:
    ours = derived({**LLAMA_CONFIG, **rope})
    assert (ours["rope_theta"], ours["rope_scaling"]) == (theta, scaling)
    numbers = {k: v for k, v in (scaling or {}).items() if k != "type"}
    kind = (scaling or {"type": "default"})["type"]
    assert ours["rope_parameters"] == {"rope_type": kind, "rope_theta": theta, **numbers}


# Meta's params.json


def test_params_json_is_kept_as_numbers_under_known_names() -> None:
    header = header_of("meta-mtp", MTP_PARAMS)
    assert derived_config("meta-mtp", MTP_PARAMS, header) == MTP_PARAMS
    extra = {"max_seq_len": 2048, "use_scaled_rope": False, "head_dim": 16, "moe": None}
    assert derived_config("meta-mtp", {**MTP_PARAMS, **extra}, header) == {
        **MTP_PARAMS,
        "max_seq_len": 2048,
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_scaled_rope", True),
        ("rope_scaling", {"factor": 8}),
        ("rope_scaling_factor", 8),
        ("qk_norm", True),
        ("sliding_window", 4096),
        ("moe", {"num_experts": 8}),
        ("hidden_dim", 176),
        ("head_dim", 32),
        ("auto_map", {"x": "y"}),
        ("quantization_args", {}),
        ("lora_args", {}),
        ("rope_theta", "10000"),
        ("rope_theta", 0),
        ("norm_eps", 2),
        ("ffn_dim_multiplier", "1.3"),
        ("vocab_size", -1),
        ("max_seq_len", 0),
        ("tie_word_embeddings", True),
    ],
)
def test_a_field_of_params_json_that_is_not_known_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(LayoutError, match=key) as caught:
        expected_shapes("meta-mtp", {**MTP_PARAMS, key: value})
    assert caught.value.hint or key == "vocab_size"
