"""Small checkpoints of each layout, made with torch and saved by torch: the real writer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from wmtp_assets.checkpoints.layouts import expected_shapes

MTP_PARAMS: dict[str, object] = {
    "dim": 64,
    "n_layers": 6,
    "n_heads": 4,
    "n_kv_heads": 4,
    "n_future_tokens": 3,
    "vocab_size": 96,
    "multiple_of": 16,
    "ffn_dim_multiplier": 1.0,
    "norm_eps": 1e-5,
    "rope_theta": 10000.0,
}
LLAMA_CONFIG: dict[str, object] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 96,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
}
Tensors = dict[str, torch.Tensor]


def random_tensors(
    layout: str, config: Mapping[str, object], dtype: torch.dtype = torch.float32
) -> Tensors:
    """Tensors of the layout's names and shapes, drawn from a fixed seed."""
    generator = torch.Generator().manual_seed(7)
    return {
        name: (torch.randn(shape, generator=generator) * 0.02).to(dtype)
        for name, shape in expected_shapes(layout, config).items()
    }


def mtp_tensors() -> Tensors:
    """A multi-token-prediction checkpoint with the complex rotary table that Meta's may hold."""
    angles = torch.outer(torch.arange(8.0), rotary_frequencies(10000.0))
    table = torch.polar(torch.ones_like(angles), angles)
    return {**random_tensors("meta-mtp", MTP_PARAMS), "freqs_cis": table}


def llama_tensors() -> Tensors:
    """A LLaMA checkpoint with the inv_freq buffers of older transformers."""
    found = random_tensors("llama", LLAMA_CONFIG)
    for layer in range(5):
        found[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = rotary_frequencies(10000.0)
    return found


def rotary_frequencies(theta: float, head_dim: int = 16) -> torch.Tensor:
    """`inv_freq`, as transformers computes it: float32, (head_dim / 2,)."""
    return 1.0 / (theta ** (torch.arange(0, head_dim, 2).float() / head_dim))


def reward_tensors(shared: bool) -> Tensors:
    """A reward model with its trunk under two names: of one memory, or as an equal copy."""
    trunk = random_tensors("llama-reward", LLAMA_CONFIG, torch.bfloat16)
    head = trunk.pop("v_head.weight")
    again = trunk if shared else {name: tensor.clone() for name, tensor in trunk.items()}
    return {
        **{f"model.model.{name}": tensor for name, tensor in trunk.items()},
        "model.lm_head.weight": torch.ones(96, 64, dtype=torch.bfloat16),
        **{f"transformer.{name}": tensor for name, tensor in again.items()},
        "v_head.weight": head,
    }


def save(tensors: Tensors, path: Path) -> Path:
    """As upstream would: torch.save of the dict."""
    torch.save(tensors, path)
    return path


def save_shards(tensors: Tensors, folder: Path, count: int = 2) -> tuple[list[Path], Path]:
    """The tensors in `count` archives with an index, as transformers' shards are."""
    names = list(tensors)
    files: list[Path] = []
    places: dict[str, str] = {}
    for number in range(count):
        part = names[number * len(names) // count : (number + 1) * len(names) // count]
        path = folder / f"pytorch_model-{number + 1:05d}-of-{count:05d}.bin"
        files.append(save({name: tensors[name] for name in part}, path))
        places |= dict.fromkeys(part, path.name)
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": places}))
    return files, index


def raw(tensor: torch.Tensor) -> bytes:
    """A tensor's bytes, row by row, whatever its type."""
    fresh = tensor.clone(memory_format=torch.contiguous_format)
    return bytes(fresh.reshape(-1).view(torch.uint8).numpy())
