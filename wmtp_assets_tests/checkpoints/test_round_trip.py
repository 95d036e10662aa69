"""Saving and loading through the safetensors library, of real files."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch

from wmtp_assets.checkpoints import round_trip as module
from wmtp_assets.checkpoints.round_trip import round_trip

TENSORS = {
    "half": torch.tensor([[1.0, -0.0], [float("nan"), float("inf")]], dtype=torch.float16),
    "bfloat": torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).bfloat16(),
    "float8": torch.arange(8, dtype=torch.float32).to(torch.float8_e4m3fn),
    "integers": torch.arange(-4, 4),
    "flags": torch.tensor([True, False]),
    "a scalar": torch.tensor(3.0),
    "empty": torch.empty(0, 4),
    "one row": torch.ones(1, 9),
    "no columns": torch.empty(4, 0),
    "cube": torch.arange(60.0).reshape(3, 4, 5),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(TENSORS, path)
    return path


@pytest.mark.parametrize("limit", [1, 16, module.LIMIT])
def test_tensors_of_every_kind_survive(
    file: Path, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMIT", limit)
    names, different = round_trip(file)
    assert sorted(names) == sorted(TENSORS)
    assert different == []


@pytest.mark.parametrize(
    "loses", [lambda t: t.float(), lambda t: t.reshape(-1), lambda t: t.clone().fill_(1)]
)
def test_a_library_that_gives_another_tensor_is_reported(
    file: Path, loses: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = safetensors.torch.load

    def changed(data: bytes) -> dict[str, torch.Tensor]:
        return {name: loses(one) if name == "half" else one for name, one in load(data).items()}  # type: ignore[operator]

    monkeypatch.setattr(safetensors.torch, "load", changed)
    assert round_trip(file)[1] == ["half"]


def test_a_file_that_the_library_does_not_accept_raises(file: Path) -> None:
    with file.open("ab") as longer:
        longer.write(bytes(8))
    with pytest.raises(safetensors.SafetensorError):
        round_trip(file)
