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

_BLOCK = 4 << 20  # bytes read at once
_AS_NUMPY = {DType.FLOAT16: "<f2", DType.FLOAT32: "<f4", DType.FLOAT64: "<f8"}


def value_range(header: Header, name: str) -> tuple[float, float] | None:
    """The least and the greatest value of the tensor `name`; None where it has no elements, or
    where its dtype is none of float16, bfloat16, float32, float64.

    A NaN counts as beyond infinity, on its side. Raises CheckpointError where the file is shorter
    than its header says.
    """
    info = header.tensors[name]
    if not info.elements or info.dtype not in (*_AS_NUMPY, DType.BFLOAT16):
        return None
    sign = 1 << (8 * info.dtype.itemsize - 1)
    # Bits order as values do within a sign, so that the ends are found without floating point:
    # positive ones ascend as unsigned integers, negative ones descend.
    positive: list[int] = []
    negative: list[int] = []
    for bits in _blocks(header.path, header.data_start + info.begin, info.end - info.begin,
                        info.dtype):  # fmt: skip
        least, most = int(bits.min()), int(bits.max())
        if least < sign:
            signed = bits.view(f"<i{info.dtype.itemsize}")
            positive += [least, int(signed.max())]
        if most >= sign:
            negative.append(most)
            if least >= sign:
                negative.append(least)
    low = max(negative) if negative else min(positive)
    high = max(positive) if positive else min(negative)
    return _value(low, info.dtype), _value(high, info.dtype)


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
