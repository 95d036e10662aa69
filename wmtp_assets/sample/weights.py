"""Pseudo-random weights whose bytes are the same on every machine.

Only integer arithmetic, single IEEE operations and square roots are used: libm's log, sin and exp
differ by a last digit between platforms, and a library's random generator may change.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

# As LLaMA's initialisation. The sum of four 16-bit uniforms below is bounded at 3.46 of these, so
# every value is well within float16.
_STANDARD_DEVIATION = 0.02
_CHUNK = 1 << 20  # elements drawn at a time: the 27 GB benchmark file is made of these too


def normal_like(name: str, numel: int, *, mean: float = 0.0) -> Iterator[NDArray[np.float32]]:
    """`numel` float32 values around `mean`, in chunks; they depend on `name` and position only."""
    seed = np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    # Four uniforms on 0..65535 have this mean and standard deviation when added up.
    middle, spread = 2.0 * 65535.0, math.sqrt((65536.0**2 - 1.0) / 3.0)
    scale = _STANDARD_DEVIATION / spread
    for start in range(0, numel, _CHUNK):
        counter = np.arange(start, min(start + _CHUNK, numel), dtype=np.uint64)
        bits = _mixed(counter + seed)
        total = np.zeros(len(bits), dtype=np.float64)
        for shift in (0, 16, 32, 48):
            total += ((bits >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.float64)
        total -= middle
        total *= scale
        total += mean
        yield total.astype("<f4")


def bfloat16_bytes(values: NDArray[np.float32]) -> bytes:
    """The upper half of each (finite) float32, rounded to nearest, ties to even."""
    bits = values.view("<u4")
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype("<u2").tobytes()


def rotary_frequencies(head_dim: int) -> NDArray[np.float64]:
    """10000 ** (-2 i / head_dim) for i below head_dim / 2, by square roots alone.

    `head_dim` is a power of two, so that 10000 ** (1 / (head_dim / 2)) is a repeated square root.
    """
    step = 10000.0
    for _ in range((head_dim // 2).bit_length() - 1):
        step = math.sqrt(step)
    frequencies = [1.0]
    for _ in range(head_dim // 2 - 1):
        frequencies.append(frequencies[-1] / step)
    return np.array(frequencies)


def rotary_table(head_dim: int, positions: int) -> NDArray[np.complex64]:
    """exp(i * position * frequency), shape (positions, head_dim / 2): Meta's `freqs_cis`.

    Each row is the one before it, turned once more: at the sample's few positions the error stays
    far below float32's last digit.
    """
    turn = [_unit(float(frequency)) for frequency in rotary_frequencies(head_dim)]
    row = [(1.0, 0.0)] * len(turn)
    table = np.empty((positions, len(turn), 2), dtype="<f4")
    for position in range(positions):
        table[position] = row
        row = [
            (x * cosine - y * sine, x * sine + y * cosine)
            for (x, y), (cosine, sine) in zip(row, turn, strict=True)
        ]
    return table.view("<c8")[..., 0]


def _unit(angle: float) -> tuple[float, float]:
    """Cosine and sine of an angle of at most 1 radian, by their series in plain arithmetic."""
    cosine = sine = 0.0
    term = 1.0
    for power in range(24):
        if power % 2 == 0:
            cosine += term if power % 4 == 0 else -term
        else:
            sine += term if power % 4 == 1 else -term
        term *= angle / (power + 1)
    return cosine, sine


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function: neighbouring counters give unrelated 64-bit words."""
    mixed = (values + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
