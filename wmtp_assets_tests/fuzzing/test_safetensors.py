"""safetensors: the header's JSON is spoiled by its structure, and the file by single bytes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.tensors import read_tensor
from wmtp_assets_tests.checkpoints.models import raw
from wmtp_assets_tests.fuzzing.harness import fuzz
from wmtp_assets_tests.fuzzing.mutations import EDGES, json_bytes, mutate_bytes, mutate_value

pytestmark = pytest.mark.fuzz
TENSORS = {
    "a.weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "b": torch.arange(3, dtype=torch.bfloat16),
    "c.empty": torch.zeros(0, 5),
    "d.one": torch.tensor(7, dtype=torch.int64),
    "e": torch.arange(5).to(torch.float8_e5m2),
}
FILE = save(TENSORS, metadata={"format": "pt"})
LENGTH = int.from_bytes(FILE[:8], "little")
HEADER, DATA = json.loads(FILE[8 : 8 + LENGTH]), FILE[8 + LENGTH :]


def test_safetensors_headers(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"

    def attempt(rng: random.Random) -> None:
        if rng.random() < 0.6:
            header = HEADER
            for _ in range(rng.randint(1, 2)):
                header = mutate_value(rng, header)
            text = json_bytes(rng, header)
            length = len(text) if rng.random() < 0.9 else rng.choice(EDGES) % (1 << 64)
            data = length.to_bytes(8, "little") + text + DATA
        else:
            data = mutate_bytes(rng, FILE)
        path.write_bytes(data)
        read = read_header(path)
        found = {name: read.source_tensor(name) for name in read.tensors}
        values = {name: read_tensor(tensor).tobytes() for name, tensor in found.items()}
        truth = load(data)
        assert values == {name: raw(tensor) for name, tensor in truth.items()}
        for name, tensor in truth.items():
            assert str(tensor.dtype) == f"torch.{found[name].dtype}"
            assert tuple(tensor.shape) == found[name].shape

    outcomes = fuzz(attempt)
    print(outcomes)
    assert outcomes.refused
