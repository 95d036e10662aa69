"""The least and the greatest value of a tensor in a safetensors file, read in bounded memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.safetensors_file import Header

LARGEST = 5  # tensors whose values are looked at
_BLOCK = 4 << 20  # bytes read at once
_AS_NUMPY = {DType.FLOAT16: "<f2", DType.FLOAT32: "<f4", DType.FLOAT64: "<f8"}


def largest_names(header: Header) -> list[str]:
    """The names of the `LARGEST` tensors with the most bytes, the largest first."""
    return sorted(
        header.tensors,
        key=lambda name: (header.tensors[name].begin - header.tensors[name].end, name),
    )[:LARGEST]


class Extremes:
    """The least and the greatest value of a tensor, from blocks of its bits."""

    def __init__(self, dtype: DType) -> None:
        self._dtype = dtype
        self._sign = 1 << (8 * dtype.itemsize - 1)
        # Bits order as values do within a sign, so that the ends are found without floating point:
        # positive ones ascend as unsigned integers, negative ones descend.
        self._positive: list[int] = []
        self._negative: list[int] = []

    def add(self, bits: NDArray[Any]) -> None:
        """Takes the next values in, as unsigned integers of the dtype's width; at least one."""
        least, most = int(bits.min()), int(bits.max())
        if least < self._sign:
            signed = bits.view(f"<i{self._dtype.itemsize}")
            self._keep(self._positive, least, int(signed.max()))
        if most >= self._sign:
            self._keep(self._negative, most, *([least] if least >= self._sign else []))

    @staticmethod
    def _keep(known: list[int], *new: int) -> None:
        known[:] = [min([*known, *new]), max([*known, *new])]

    @property
    def ends(self) -> tuple[float, float] | None:
        """The least and the greatest value; None of no values. A NaN counts as beyond infinity, on
        its side."""
        positive, negative = self._positive, self._negative
        if not (positive or negative):
            return None
        low = max(negative) if negative else min(positive)
        high = max(positive) if positive else min(negative)
        return _value(low, self._dtype), _value(high, self._dtype)


def has_ends(dtype: DType) -> bool:
    """Whether values of a dtype are looked at: float16, bfloat16, float32 and float64."""
    return dtype in (*_AS_NUMPY, DType.BFLOAT16)


def value_range(header: Header, name: str) -> tuple[float, float] | None:
    """The least and the greatest value of the tensor `name`; None where it has no elements, or
    where its dtype is none of float16, bfloat16, float32, float64.

    A NaN counts as beyond infinity, on its side. Raises CheckpointError where the file is shorter
    than its header says.
    """
    info = header.tensors[name]
    if not info.elements or not has_ends(info.dtype):
        return None
    extremes = Extremes(info.dtype)
    begin = header.data_start + info.begin
    for bits in _blocks(header.path, begin, info.end - info.begin, info.dtype):
        extremes.add(bits)
    return extremes.ends


def _blocks(path: Path, begin: int, size: int, dtype: DType) -> Any:
    with path.open("rb", buffering=0) as file:
        for at in range(0, size, _BLOCK):
            count = min(_BLOCK, size - at)
            data = os.pread(file.fileno(), count, begin + at)
            if len(data) != count:
                raise CheckpointError("The file became shorter", where=path)
            block: NDArray[Any] = np.frombuffer(data, dtype.raw)
            yield block


def _value(bits: int, dtype: DType) -> float:
    if dtype is DType.BFLOAT16:  # the upper half of a float32
        return _value(bits << 16, DType.FLOAT32)
    raw = bits.to_bytes(dtype.itemsize, "little")
    return float(np.frombuffer(raw, _AS_NUMPY[dtype])[0]) + 0.0  # -0.0 is 0
