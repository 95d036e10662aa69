"""Starling's reward head: a LLaMA trunk from transformers and one linear layer that scores text.

The checkpoint (layout `llama-reward`) holds each tensor of the trunk once, under the names that
transformers' LlamaModel gives them, `v_head.weight` (1, hidden), and where the model has one
`v_head.bias` (1,); what upstream may call them is in `checkpoints/layouts/llama_reward.py`. The
score of a text is the head's value at its last token, as the authors' class computes it for a
padded batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaModel
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from wmtp_assets.mtp.loading import (
    assign_strictly,
    choose_implementation,
    read_json,
    read_tensors,
    without_values,
)

WEIGHT, BIAS = "v_head.weight", "v_head.bias"


class RewardModel(nn.Module):
    """Scores token sequences: one number each, comparable between answers to the same prompt."""

    def __init__(self, config: LlamaConfig, bias: bool = False) -> None:
        super().__init__()
        self.model = LlamaModel(config)
        self.v_head = nn.Linear(config.hidden_size, 1, bias=bias)

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """The value at every position, (batch, seq), of token ids (batch, seq)."""
        hidden = self.model(input_ids=tokens, attention_mask=attention_mask, use_cache=False)
        values: Tensor = self.v_head(hidden.last_hidden_state)
        return values.squeeze(-1)

    @torch.no_grad()
    def score(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Score of each sequence, float32 (batch,): rows padded on the right, `lengths` real ones.

        Padding cannot change a score: attention is causal, and the value is read before it begins.
        """
        rows = torch.arange(tokens.shape[0], device=tokens.device)
        values: Tensor = self(tokens)
        return values[rows, lengths.to(tokens.device) - 1].float()


def reward_config(values: Mapping[str, object]) -> LlamaConfig:
    """The trunk's config from what its config.json says."""
    config = LlamaConfig.from_dict(dict(values))
    choose_implementation(config)
    return config


def reward_without_weights(config: LlamaConfig, bias: bool) -> RewardModel:
    """The network on the meta device: no memory, no initialization."""
    with without_values():
        return RewardModel(config, bias)


def network_name(name: str) -> str:
    """What the network calls a tensor of the checkpoint."""
    return name if name in (WEIGHT, BIAS) else f"model.{name}"


def load_reward_model(
    weights: Path,
    config: Path,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> RewardModel:
    """Load a llama-reward checkpoint strictly; `dtype` by default as stored.

    Raises:
        LoadError: a file is missing or broken, or the tensors are not exactly the model's.
    """
    tensors = read_tensors(weights, dtype, device)
    named = {network_name(name): tensor for name, tensor in tensors.items()}
    args = reward_config(read_json(config))
    model = reward_without_weights(args, bias=BIAS in tensors)
    assign_strictly(model, named, weights)
    # transformers keeps rotary frequencies in a buffer that no file holds: made where it is needed.
    with torch.device(device):
        model.model.rotary_emb = LlamaRotaryEmbedding(args)
    return model.eval()
