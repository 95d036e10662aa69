"""The model types of transformers whose checkpoints are converted, one line of facts for each.

Belongs here: what a config.json means where it is silent (each class has defaults of its own), and
the tensors that a type has beside LLaMA's. Facts: `configuration_*.py` and `modeling_*.py` of
transformers 4.36 to 5.23. A new model type is a new entry here, a list of its settings in
`settings.py`, and a test of equal logits against its own class (`test_families.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Family:
    """One model type. Sizes and ids are what its class assumes where config.json is silent.

    Args:
        causal: the class that transformers loads it into.
        tied: whether the output projection is the embedding.
        kv_heads: None means one for each query head; head_dim: None means hidden size / heads.
        ids: beginning, end and padding.
        window: who decides about sliding attention. `never`: no layer has it; `always`: all have it
            where `sliding_window` is a number; `switch`: `use_sliding_window` turns it on, of
            layers from `max_window_layers` on; `unrotated`: it turns it on, of layers without RoPE.
        qkv_bias: q, k and v have biases. qk_norm: queries and keys are normalized, head by head.
    """

    model_type: str
    causal: str
    tied: bool = False
    theta: float = 10000.0
    positions: int = 2048
    kv_heads: int | None = None
    head_dim: int | None = None
    activation: str = "silu"
    ids: tuple[int | None, int | None, int | None] = (1, 2, None)
    window: Literal["never", "always", "switch", "unrotated"] = "never"
    default_window: int | None = None
    qkv_bias: bool = False
    qk_norm: bool = False
    multipliers: tuple[str, ...] = ()


_GRANITE = (
    "embedding_multiplier",
    "attention_multiplier",
    "residual_multiplier",
    "logits_scaling",
)
_NO_IDS = (None, None, None)

FAMILIES: Mapping[str, Family] = {
    family.model_type: family
    for family in (
        Family("llama", "LlamaForCausalLM"),
        Family(
            "mistral",
            "MistralForCausalLM",
            positions=131072,
            kv_heads=8,
            window="always",
            default_window=4096,
        ),
        Family("granite", "GraniteForCausalLM", multipliers=_GRANITE),
        Family(
            "gemma",
            "GemmaForCausalLM",
            tied=True,
            positions=8192,
            kv_heads=16,
            head_dim=256,
            activation="gelu_pytorch_tanh",
            ids=(2, 1, 0),
        ),
        Family(
            "smollm3",
            "SmolLM3ForCausalLM",
            tied=True,
            theta=2000000.0,
            positions=32768,
            kv_heads=4,
            ids=(128000, 128001, 128004),
            window="unrotated",
        ),
        Family(
            "qwen2",
            "Qwen2ForCausalLM",
            positions=32768,
            kv_heads=32,
            ids=_NO_IDS,
            window="switch",
            default_window=4096,
            qkv_bias=True,
        ),
        Family(
            "qwen3",
            "Qwen3ForCausalLM",
            positions=32768,
            kv_heads=32,
            head_dim=128,
            ids=_NO_IDS,
            window="switch",
            default_window=4096,
            qk_norm=True,
        ),
    )
}
