"""Saving and loading through the safetensors library: whether a file's tensors survive both.

The library is what every reader of the files uses; the strict reader of this package
(`safetensors_file.py`) is not asked. One tensor at a time, so that memory stays bounded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

LIMIT = 4 << 20
"""Bytes of a tensor that are compared. The library handles every value alike, so that what differs
between tensors (name, dtype, shape) is what a round trip can lose."""


def round_trip(path: Path) -> tuple[list[str], list[str]]:
    """The names of all tensors that the library loads, and, in words that name each, those that are
    others after it saved and loaded them again.

    Of a tensor of more than `LIMIT` bytes whole rows are compared, at least one. Raises OSError,
    and the library's own error where it does not accept the file.
    """
    import torch  # seconds to import
    from safetensors import safe_open
    from safetensors.torch import load, save

    def same(one: torch.Tensor, other: torch.Tensor) -> bool:
        return (
            (one.dtype, one.shape) == (other.dtype, other.shape)
            # As bytes: NaN is equal to itself, and 0.0 is not -0.0.
            and torch.equal(one.reshape(-1).view(torch.uint8), other.reshape(-1).view(torch.uint8))
        )

    names: list[str] = []
    different: list[str] = []
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - no mapping
            names.append(name)
            tensor = _first_rows(file, name)
            again = load(save({name: tensor}))
            if again.keys() != {name} or not same(tensor, again[name]):
                different.append(name)
    return names, different


def _first_rows(file: Any, name: str) -> Any:
    """A tensor of an opened file, or of a large one its first rows, at most `LIMIT` bytes if a row
    is no larger."""
    part = file.get_slice(name)
    shape = part.get_shape()
    if len(shape) == 0 or shape[0] <= 1:
        return file.get_tensor(name)
    row = part[:1]
    return part[: max(1, LIMIT // max(1, row.numel() * row.element_size()))]
