"""Tiny models of transformers' causal architectures, saved as upstream would, with their logits.

Weights are drawn so that every setting shows: norms away from 1, projections of 0.2. The logits are
those of the model's own class, in float32, of the weights as they are stored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SIZES: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
TOKENS = torch.arange(1, 65)[None] * 7 % 512


@dataclass(frozen=True)
class Lookalike:
    """A saved model: its folder, its config.json, and its logits (1, 64, vocab)."""

    folder: Path
    config: dict[str, Any]
    logits: Tensor


def causal_types() -> list[str]:
    """Every model_type that transformers loads as a causal language model."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def shapes_of(model_type: str) -> dict[str, tuple[int, ...]] | None:
    """Names and shapes of a tiny model's tensors; None where the type has no such tiny model."""
    try:
        with torch.device("meta"):
            model = _build(model_type, {})
        return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    except Exception:  # configs of other kinds (vision, state space, ...) refuse these sizes
        return None


def save_lookalike(
    model_type: str,
    folder: Path,
    dtype: torch.dtype = torch.float16,
    **settings: Any,
) -> Lookalike:
    """A model of `model_type` with `settings`, saved in `dtype` with save_pretrained."""
    torch.manual_seed(0)
    model = _build(model_type, settings)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter) * 0.1
            if name.endswith("norm.weight"):
                parameter.add_(noise)
            else:
                parameter.copy_(noise)
    model.to(dtype).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_bytes())
    return Lookalike(folder, config, logits_of(folder))


def _build(model_type: str, settings: dict[str, Any]) -> Any:
    import transformers

    config = transformers.CONFIG_MAPPING[model_type](**{**SIZES, **settings})
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")


def logits_of(folder: Path) -> Tensor:
    """The logits that AutoModelForCausalLM gives of a folder, in float32."""
    from transformers import AutoModelForCausalLM

    model, info = AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True, attn_implementation="eager"
    )
    assert not any(info.values()), info
    with torch.no_grad():
        logits: Tensor = model.float().eval()(TOKENS).logits
    return logits
