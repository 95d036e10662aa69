"""Writes float32 checkpoints of any size, tensor by tensor, in torch's format and without torch.

The values are normal with a standard deviation of 0.02, cut from one block of 32 MB at a place that
depends on the tensor: they neither compress to nothing nor take minutes to draw.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.checkpoints.layouts import expected_shapes
from wmtp_assets.checkpoints.params import ffn_dim_of
from wmtp_assets.sample.torch_archive import Storage, Tensor, write_archive

_VALUES = 8 << 20
_CHUNK = 1 << 20
# Facts of the real model: facebook/multi-token-prediction, 7B_1T_4/params.json.
REAL: dict[str, object] = {
    "dim": 4096,
    "n_layers": 32,
    "n_heads": 32,
    "n_kv_heads": 32,
    "n_future_tokens": 4,
    "vocab_size": 32000,
    "multiple_of": 256,
    "ffn_dim_multiplier": 1.0,
    "norm_eps": 1e-5,
    "rope_theta": 10000.0,
}
REAL_BYTES = 26_953_662_464


def mtp_params(source_bytes: float) -> dict[str, object]:
    """The real model's shape, narrower and with fewer layers, of about `source_bytes`."""
    if source_bytes >= REAL_BYTES:
        return dict(REAL)
    for dim in (2048, 1024, 512, 256):
        params = REAL | {"dim": dim, "n_heads": dim // 128, "n_kv_heads": dim // 128}
        without = 2 * 32000 * dim * 4
        block = (4 * dim * dim + 3 * dim * _ffn(dim)) * 4
        layers = round((source_bytes - without) / block)
        if layers >= 6:
            break
    return params | {"n_layers": max(layers, 4)}


def _ffn(dim: int) -> int:
    return ffn_dim_of({"dim": dim, "multiple_of": 256})


def llama_config(params: Mapping[str, object]) -> dict[str, object]:
    """A LLaMA of the same sizes, for peers that read transformers' layout."""
    dim, heads = params["dim"], params["n_heads"]
    assert isinstance(dim, int)
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": dim,
        "intermediate_size": _ffn(dim),
        "num_hidden_layers": params["n_layers"],
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "vocab_size": 32000,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }


def write_checkpoint(layout: str, config: Mapping[str, object], path: Path) -> None:
    """The layout's tensors, in its order, in one archive."""
    shapes = expected_shapes(layout, config)
    _write({name: shapes[name] for name in shapes}, path)


def write_shards(config: Mapping[str, object], folder: Path) -> None:
    """A LLaMA in two shards with their index and config.json, as transformers 4.3x wrote them."""
    shapes = expected_shapes("llama", config)
    names = list(shapes)
    places: dict[str, str] = {}
    for number in (1, 2):
        part = names[: len(names) // 2] if number == 1 else names[len(names) // 2 :]
        file = f"pytorch_model-0000{number}-of-00002.bin"
        _write({name: shapes[name] for name in part}, folder / file)
        places |= dict.fromkeys(part, file)
    total = sum(4 * math.prod(shape) for shape in shapes.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(config))


def _write(shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    values = np.random.default_rng(7).standard_normal(_VALUES, dtype=np.float32) * np.float32(0.02)
    tensors = {}
    for number, (name, shape) in enumerate(shapes.items()):
        count = math.prod(shape)
        storage = Storage("float32", count, partial(_chunks, values, number, count))
        tensors[name] = Tensor(storage, shape)
    with path.open("wb") as file:
        write_archive(file, tensors)


def _chunks(values: NDArray[np.float32], number: int, count: int) -> Iterator[memoryview]:
    at = number * 977
    while count:
        at %= _VALUES - _CHUNK
        part = values[at : at + min(_CHUNK, count)]
        yield part.view(np.uint8).data
        at += _CHUNK - 4093
        count -= len(part)
