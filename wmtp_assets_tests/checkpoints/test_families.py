"""Each accepted model_type converts to equal logits of its own class; every other is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from wmtp_assets.checkpoints.configs import derived_config
from wmtp_assets.checkpoints.convert import convert
from wmtp_assets.checkpoints.cutting import MicroShape
from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.planning import plan_conversion
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.slicing import slice_model
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets_tests.checkpoints.lookalikes import (
    Lookalike,
    causal_types,
    logits_of,
    save_lookalike,
    shapes_of,
)
from wmtp_assets_tests.checkpoints.models import LLAMA_CONFIG, llama_tensors, save

ACCEPTED = ("llama", "mistral", "granite", "gemma", "smollm3", "qwen2", "qwen3")
GRANITE = {
    "embedding_multiplier": 12.0,
    "attention_multiplier": 0.015625,
    "residual_multiplier": 0.22,
    "logits_scaling": 8.0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 32,
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{kind: (kind, {}) for kind in ACCEPTED},
    "llama, tied": ("llama", {"tie_word_embeddings": True}),
    "llama, wide heads": ("llama", {"head_dim": 32}),
    "llama 3": ("llama", {"rope_parameters": LLAMA3}),
    "llama, linear": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}},
    ),
    "llama, dynamic": (
        "llama",
        {
            "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0},
            "max_position_embeddings": 32,
        },
    ),
    "llama, yarn": ("llama", {"rope_parameters": YARN}),
    "mistral, window": ("mistral", {"sliding_window": 8}),
    "mistral, no window": ("mistral", {"sliding_window": None}),
    "granite, multipliers": ("granite", GRANITE),
    "gemma, wide heads": ("gemma", {"head_dim": 32}),
    "smollm3, all layers": ("smollm3", {"no_rope_layers": [1, 1, 1, 1]}),
    "smollm3, other layers": ("smollm3", {"no_rope_layers": [0, 1, 0, 1]}),
    "smollm3, interval": ("smollm3", {"no_rope_layer_interval": 2}),
    "smollm3, window": ("smollm3", {"use_sliding_window": True, "sliding_window": 8}),
    "qwen2, tied": ("qwen2", {"tie_word_embeddings": True}),
    "qwen2, window": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 2},
    ),
    "qwen3, tied": ("qwen3", {"tie_word_embeddings": True}),
    "qwen3, wide heads": ("qwen3", {"head_dim": 32}),
}
# What save_pretrained of transformers 4 writes in the place of what 5 writes.
SILENT = ("head_dim", "attention_bias", "attention_dropout", "mlp_bias", "layer_types", "dtype")


def converted(saved: Lookalike, config: dict[str, Any], target: Path) -> Path:
    """The folder that transformers loads from, made from `saved` as upstream's files."""
    target.mkdir()
    source = open_source([saved.folder / "model.safetensors"])
    convert(plan_conversion(source, "llama", config, "float16"), target / "model.safetensors")
    header = read_header(target / "model.safetensors")
    ours = derived_config("llama", config, header)
    (target / "config.json").write_text(json.dumps(ours))
    assert derived_config("llama", ours, header) == ours
    return target


def in_version_4(config: dict[str, Any]) -> dict[str, Any]:
    """The same model's config.json as transformers 4 writes it."""
    old = {key: value for key, value in config.items() if key not in SILENT}
    rope = dict(old.pop("rope_parameters"))
    old["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    old["rope_scaling"] = None if kind == "default" else {"type": kind, **rope}
    old["torch_dtype"] = "float16"
    derived = config["hidden_size"] // config["num_attention_heads"]
    if config["head_dim"] != derived or config["model_type"] in ("gemma", "qwen3"):
        old["head_dim"] = config["head_dim"]
    return old


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_converted_model_gives_the_logits_of_its_own_class(variant: str, tmp_path: Path) -> None:
    kind, settings = VARIANTS[variant]
    saved = save_lookalike(kind, tmp_path / "upstream", **settings)
    configs = {"five": saved.config, "four": in_version_4(saved.config)}
    for version, config in configs.items():
        folder = converted(saved, config, tmp_path / version)
        assert json.loads((folder / "config.json").read_bytes())["model_type"] == kind
        assert torch.equal(logits_of(folder), saved.logits)


def test_each_variant_computes_something_else_than_the_plain_type(tmp_path: Path) -> None:
    """So that equal logits above say that the setting was carried over."""
    plain = {k: save_lookalike(k, tmp_path / k).logits for k in ACCEPTED}
    for number, (variant, (kind, settings)) in enumerate(VARIANTS.items()):
        if settings and variant != "mistral, no window":  # 64 tokens fit in 4,096
            other = save_lookalike(kind, tmp_path / f"v{number}", **settings).logits
            assert not torch.equal(other, plain[kind]), variant


@pytest.mark.slow
def test_every_other_architecture_with_the_same_tensors_is_refused(tmp_path: Path) -> None:
    ours = {kind: shapes_of(kind) for kind in ACCEPTED}
    found = []
    for kind in causal_types():
        if kind in ACCEPTED or (shapes := shapes_of(kind)) not in ours.values():
            continue
        assert shapes is not None
        found.append(kind)
        saved = save_lookalike(kind, tmp_path / kind)
        source = open_source([saved.folder / "model.safetensors"])
        layouts: tuple[str, ...] = ("llama", "llama-reward")
        for layout in layouts:
            with pytest.raises(LayoutError, match="does not accept this model_type") as caught:
                plan_conversion(source, layout, saved.config, "float16")
            assert caught.value.found == kind
            assert "llama" in str(caught.value.expected)
            assert caught.value.hint
    assert {"ernie4_5", "helium", "cwm", "ministral"} <= set(found)


@pytest.mark.parametrize(
    "found", ["ernie4_5", "helium", "cwm", "ministral", "Llama", "", None, ["llama"], 3]
)
def test_a_model_type_that_the_layout_does_not_list_is_refused(
    found: object, tmp_path: Path
) -> None:
    source = open_source([save(llama_tensors(), tmp_path / "a.bin")])
    with pytest.raises(LayoutError, match="one of llama, mistral, granite") as caught:
        plan_conversion(source, "llama", {**LLAMA_CONFIG, "model_type": found}, "float16")
    assert str(found) in str(caught.value)


@pytest.mark.parametrize("found", [["Ernie4_5ForCausalLM"], "LlamaForCausalLM", ["A", "B"], [3]])
def test_architectures_that_the_layout_does_not_list_are_refused(
    found: object, tmp_path: Path
) -> None:
    source = open_source([save(llama_tensors(), tmp_path / "a.bin")])
    with pytest.raises(LayoutError, match="does not accept these architectures"):
        plan_conversion(source, "llama", {**LLAMA_CONFIG, "architectures": found}, "float16")


@pytest.mark.parametrize("kind", ACCEPTED)
def test_a_type_under_another_types_name_is_refused_or_computes_the_same(
    kind: str, tmp_path: Path
) -> None:
    """config.json is believed about the type, and what contradicts it is not."""
    settings = {"granite": GRANITE, "mistral": {"sliding_window": 8}}.get(kind, {})
    saved = save_lookalike(kind, tmp_path / "upstream", **settings)
    source = open_source([saved.folder / "model.safetensors"])
    for name in ACCEPTED:
        if name == kind:
            continue
        with pytest.raises(LayoutError):
            plan_conversion(source, "llama", {**saved.config, "model_type": name}, "float16")


@pytest.mark.parametrize(
    "variant",
    [
        "llama",
        "llama 3",
        "mistral, window",
        "granite, multipliers",
        "gemma",
        "smollm3, other layers",
        "qwen2",
        "qwen3, wide heads",
        "llama, tied",
    ],
)
def test_a_slice_is_the_model_of_the_layers_and_heads_that_it_takes(
    variant: str, tmp_path: Path
) -> None:
    """All layers and heads but the last of each: the logits are those of the model cut by hand."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from wmtp_assets_tests.checkpoints.lookalikes import TOKENS

    kind, settings = VARIANTS[variant]
    saved = save_lookalike(kind, tmp_path / "upstream", **settings)
    base = converted(saved, saved.config, tmp_path / "base")
    config = json.loads((base / "config.json").read_bytes())
    micro = tmp_path / "micro"
    micro.mkdir()
    sliced = slice_model(
        "llama",
        base / "model.safetensors",
        config,
        MicroShape(2, 32, 48),
        micro / "model.safetensors",
    )
    header = read_header(micro / "model.safetensors")
    (micro / "config.json").write_text(json.dumps(derived_config("llama", sliced.config, header)))
    ours = logits_of(micro)

    model = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager").float()
    small = AutoConfig.from_pretrained(base)
    for key, value in {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    }.items():
        setattr(small, key, value)
    if kind == "smollm3":
        small.no_rope_layers = [small.no_rope_layers[0], small.no_rope_layers[3]]
    if getattr(small, "layer_types", None):
        small.layer_types = small.layer_types[:2]
    cut = AutoModelForCausalLM.from_config(small, attn_implementation="eager").float().eval()
    taken = model.state_dict()
    by_hand = {}
    for name, tensor in cut.state_dict().items():
        source = taken[name.replace("layers.1.", "layers.3.")]
        by_hand[name] = source[tuple(slice(0, size) for size in tensor.shape)]
    cut.load_state_dict(by_hand, strict=True)
    with torch.no_grad():
        assert torch.equal(ours, cut(TOKENS).logits)


def test_a_model_with_a_window_in_some_layers_only_is_not_sliced(tmp_path: Path) -> None:
    kind, settings = VARIANTS["qwen2, window"]
    saved = save_lookalike(kind, tmp_path / "upstream", **settings)
    with pytest.raises(LayoutError, match="sliding attention cannot be sliced"):
        slice_model(
            "llama",
            saved.folder / "model.safetensors",
            saved.config,
            MicroShape(2, 32, 48),
            tmp_path / "micro.safetensors",
        )
