"""Logits of the next-token head: of a multi-token-prediction model, and of the same as a LLaMA.

Both networks are executed from their files, matrix by matrix (`streaming.py`), in float32 from the
values that are stored. Belongs here: executing; what is written is in `checkpoints/next_token.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wmtp_assets.checkpoints.safetensors_file import Header, read_header
from wmtp_assets.mtp.loading import (
    LOADING,
    choose_implementation,
    mtp_without_weights,
    require_fit,
    without_values,
)
from wmtp_assets.mtp.model import MTPTransformer
from wmtp_assets.mtp.streaming import StreamedWeights, rebuilt_buffers

_POSITIONS = 32  # enough that a wrong order of channels turns queries and keys visibly apart
# Of the largest logit: sums of the same products in another order differ by some 1e-6 of it, rows
# in the wrong order by about 1.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Comparison:
    """The greatest difference between two networks' logits, and the largest logit."""

    difference: float
    largest: float
    positions: int

    @property
    def equal(self) -> bool:
        """Whether the two compute the same, as far as float32 can tell; false of NaN."""
        return self.difference <= TOLERANCE * self.largest


def compare(weights: Path, params: Mapping[str, object], llama: Path) -> Comparison:
    """Executes an MTP model's next-token head and the LLaMA in the folder `llama` on one text.

    Raises LoadError where a file does not hold its network's tensors.
    """
    header = read_header(weights)
    model = _mtp(header, params)
    tokens = (torch.arange(1, _POSITIONS + 1) * 7919 % model.args.vocab_size)[None]
    with StreamedWeights(model, header, {}), torch.no_grad():
        expected: Tensor = model(tokens, return_all_heads=False)[:, :, 0]
    found = _of_llama(llama, tokens)
    difference = float((expected - found).abs().max())
    return Comparison(difference, float(expected.abs().max()), _POSITIONS)


def _mtp(header: Header, params: Mapping[str, object]) -> MTPTransformer:
    shapes = {name: info.shape for name, info in header.tensors.items()}
    model = mtp_without_weights(params, shapes)
    require_fit(model, shapes, header.path)
    return model


def _of_llama(folder: Path, tokens: Tensor) -> Tensor:
    from transformers import AutoConfig, AutoModelForCausalLM

    header = read_header(folder / "model.safetensors")
    args: Any = AutoConfig.from_pretrained(folder, **LOADING)
    choose_implementation(args)
    args.dtype = torch.float32  # what is executed, whatever is stored
    with without_values():
        built: Any = AutoModelForCausalLM
        network = built.from_config(args, trust_remote_code=False).eval()
    rebuilt_buffers(network, args)
    require_fit(network, {n: info.shape for n, info in header.tensors.items()}, header.path)
    with StreamedWeights(network, header, {}), torch.no_grad():
        logits: Tensor = network(tokens, use_cache=False).logits
        return logits
