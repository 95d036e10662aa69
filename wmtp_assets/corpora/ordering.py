"""Random order that is the same on every machine, for every version of every library.

numpy promises its generators' streams only within a version. These are keys instead: a fixed
mixing function of (seed, index), splitmix64, in plain 64-bit arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 16  # keys made at a time: they pass through several arrays
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)


def keys(indices: NDArray[Any], seed: int, stream: int = 0) -> NDArray[np.uint64]:
    """A 64-bit key for each index: another one for another index, seed or stream.

    Streams of one seed are independent: what was chosen by one must be ordered by another, or the
    order would tell how rare each kind of row was.
    """
    start = _mixed(np.array([seed % (1 << 64)], dtype=np.uint64) + _STEP)
    start = _mixed(start + np.uint64(stream))
    found = np.empty(indices.size, dtype=np.uint64)
    for begin in range(0, indices.size, _BLOCK):
        block = indices[begin : begin + _BLOCK].astype(np.uint64)
        found[begin : begin + _BLOCK] = _mixed(_mixed(block + _STEP) ^ start)
    return found


def shuffled(indices: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """`indices` (distinct) in random order."""
    return indices[np.argsort(keys(indices, seed, stream=1), kind="stable")]


def drawn(indices: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """`count` of the distinct `indices`, at random and in random order; all if there are fewer."""
    if count <= 0:
        return indices[:0]
    if count < indices.size:
        indices = indices[np.argpartition(keys(indices, seed), count - 1)[:count]]
    return shuffled(indices, seed)


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = value ^ (value >> np.uint64(30))
    value *= _MIX_A  # in place from here on: fewer arrays to pass through the cache
    value ^= value >> np.uint64(27)
    value *= _MIX_B
    value ^= value >> np.uint64(31)
    return value
