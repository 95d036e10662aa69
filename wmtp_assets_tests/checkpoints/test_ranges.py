"""The least and the greatest value of a tensor, against torch."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from wmtp_assets.checkpoints import ranges
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.ranges import value_range
from wmtp_assets.checkpoints.safetensors_file import read_header

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
VALUES = {
    "both_signs": [-3.5, 0.0, 2.25, 1e-3],
    "positive": [0.5, 4.0, 0.25],
    "negative": [-0.5, -4.0, -0.25],
    "zeros": [0.0, -0.0],
    "negative_zero_and_positive": [-0.0, 1.0],
    "infinite": [-math.inf, 1.0, math.inf],
    "one": [-7.0],
    "subnormal": [6e-8, -6e-8],
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_range_is_torchs(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {name: torch.tensor(values, dtype=dtype) for name, values in VALUES.items()}
    random = torch.Generator().manual_seed(3)
    tensors |= {
        f"random_{shift + 9}": (torch.randn(999, generator=random) + shift).to(dtype)
        for shift in (-9, 0, 9)
    }
    tensors["none"] = torch.empty(0, 3, dtype=dtype)
    save_file(tensors, tmp_path / "x.safetensors")
    header = read_header(tmp_path / "x.safetensors")
    for name, tensor in tensors.items():
        wanted = (tensor.min().item(), tensor.max().item()) if tensor.numel() else None
        assert value_range(header, name) == wanted, name


def test_blocks_are_read_in_turn_and_other_dtypes_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "_BLOCK", 64)
    tensor = torch.arange(-500, 700, dtype=torch.float16)
    save_file({"x": tensor, "n": torch.arange(4)}, tmp_path / "x.safetensors")
    header = read_header(tmp_path / "x.safetensors")
    assert value_range(header, "x") == (-500, 699)
    assert value_range(header, "n") is None


def test_a_nan_is_seen(tmp_path: Path) -> None:
    save_file({"x": torch.tensor([1.0, math.nan])}, tmp_path / "x.safetensors")
    found = value_range(read_header(tmp_path / "x.safetensors"), "x")
    assert found is not None
    assert math.isnan(found[1])


def test_a_file_that_became_shorter_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"x": torch.ones(64)}, path)
    header = read_header(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="shorter"):
        value_range(header, "x")
