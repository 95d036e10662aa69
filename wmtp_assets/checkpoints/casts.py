"""The cast of one block of elements, and what it did to them: the only arithmetic on weights.

A kept type is copied with numpy alone; where a type changes, torch's library rounds. Blocks are
worked on in parts that stay in the processor's cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import ConversionError
from wmtp_assets.checkpoints.libtorch import Tensor
from wmtp_assets.checkpoints.tensors import Bytes

Floats: TypeAlias = "np.ndarray[Any, np.dtype[np.floating[Any]]]"
"""float32 or float64, flat."""

_PART = 131_072  # elements that are copied or looked at together


@dataclass
class CastStats:
    """What a cast did, added up over blocks. Counts are of elements.

    `nan` and `inf` were so at the source; `overflow` were finite and became infinite; `zeroed` were
    other than zero and became zero. `zeros` are all that are zero after a cast between two types
    (where the type is kept they are not counted). `error` is the greatest |after - before| among
    those that are finite on both sides.
    """

    nan: int = 0
    inf: int = 0
    overflow: int = 0
    zeroed: int = 0
    zeros: int = 0
    error: float = 0.0

    def add(self, other: CastStats) -> None:
        """Take another block's numbers in."""
        self.nan += other.nan
        self.inf += other.inf
        self.overflow += other.overflow
        self.zeroed += other.zeroed
        self.zeros += other.zeros
        self.error = max(self.error, other.error)


class Cast(Protocol):
    """Turns the bytes of `source` into those of `target`, element by element."""

    def __call__(self, source: Bytes, target: Bytes) -> CastStats: ...


def can_cast(before: DType, after: DType) -> bool:
    """Whether a tensor may go from one type to the other: kept, or between float types.

    Never to float8: without a scale, weights in it are no longer the model's.
    """
    return before is after or (before.is_float and after.is_float and after.itemsize > 1)


def make_cast(before: DType, after: DType) -> Cast:
    """The cast from `before` to `after`, rounding to nearest even as torch's `.to()` does.

    Raises ConversionError for a pair that would lose more than precision.
    """
    if not can_cast(before, after):
        raise ConversionError("A cast that is not supported", expected=after, found=before)
    return _Kept(before) if before is after else _Converted(before, after)


class _Kept:
    """A copy that counts NaN and infinities by their bits."""

    def __init__(self, dtype: DType) -> None:
        self.dtype = dtype

    def __call__(self, source: Bytes, target: Bytes) -> CastStats:
        stats = CastStats()
        step = _PART * self.dtype.itemsize
        for at in range(0, len(source), step):
            target[at : at + step] = source[at : at + step]
            if self.dtype.is_float:
                count_nonfinite(source[at : at + step], self.dtype, stats)
        return stats


def count_nonfinite(values: Bytes, dtype: DType, stats: CastStats) -> None:
    """Add the NaN and infinities among `values` to `stats`, told by their bits."""
    infinity, nan, sign = dtype.infinity_bits, dtype.least_nan_bits, 1 << (8 * dtype.itemsize - 1)
    least = nan if infinity is None else infinity
    every = values.view(dtype.raw)
    for at in range(0, len(every), _PART):
        bits = every[at : at + _PART]
        # Positive values order as signed integers, negative ones as unsigned: two plain maxima
        # are ten times faster than a test of each.
        signed = bits.view(f"<i{dtype.itemsize}")
        if int(signed.max()) >= least or int(bits.max()) >= sign | least:
            magnitude = bits & dtype.magnitude_bits
            stats.nan += int(np.count_nonzero(magnitude >= nan))
            if infinity is not None:
                stats.inf += int(np.count_nonzero(magnitude == infinity))


def has_values(values: Bytes, dtype: DType) -> bool:
    """Whether any of `values`, of a float type, is other than zero. Stops early: most are."""
    every = values.view(dtype.raw)
    return any(
        bool((every[at : at + _PART] & dtype.magnitude_bits).any())
        for at in range(0, len(every), _PART)
    )


class _Converted:
    """A cast by torch's library, whose float16 routines use the processor's own instructions."""

    def __init__(self, before: DType, after: DType) -> None:
        # Differences are taken in a type that holds both sides exactly.
        wide = DType.FLOAT64 if DType.FLOAT64 in (before, after) else DType.FLOAT32
        self.after = after
        self.exact = Tensor(wide)
        self.given = self.exact if before is wide else Tensor(before)
        self.made = Tensor(after)
        self.back = Tensor(wide)
        self.floats = np.dtype(str(wide))

    def __call__(self, source: Bytes, target: Bytes) -> CastStats:
        stats = CastStats()
        before, after = len(self.given.bytes), len(self.made.bytes)
        with np.errstate(invalid="ignore"):  # infinity less infinity
            for at, to in zip(
                range(0, len(source), before), range(0, len(target), after), strict=True
            ):
                values, room = source[at : at + before], target[to : to + after]
                # A last part that is shorter leaves what was there behind it, unused.
                self.given.bytes[: len(values)] = values
                if self.given is not self.exact:
                    # By way of the wide type: bfloat16 to float16 directly is slower, and no more
                    # exact.
                    self.exact.copy_(self.given)
                self.made.copy_(self.exact)
                self.back.copy_(self.made)
                cast = self.made.bytes[: len(room)]
                self._compare(cast, stats)
                room[:] = cast
        return stats

    def _compare(self, cast: Bytes, stats: CastStats) -> None:
        """Add up what the cast did to the values of `exact`."""
        count = len(cast) // self.after.itemsize
        exact = self.exact.bytes.view(self.floats)[:count]
        self._count_zeros(exact, cast, stats)
        difference = self.back.bytes.view(self.floats)[:count]
        np.subtract(difference, exact, out=difference)
        greatest = max(float(difference.max()), -float(difference.min()))
        if greatest < float("inf"):  # False for NaN as well
            stats.error = max(stats.error, greatest)
        else:
            self._count(exact, cast, difference, stats)

    def _count_zeros(self, exact: Floats, cast: Bytes, stats: CastStats) -> None:
        bits = cast.view(self.after.raw)
        signed = bits.view(f"<i{self.after.itemsize}")
        # 0.0 is the least unsigned pattern, -0.0 the least signed one: two plain minima tell that
        # there is neither, which is so for most blocks of real weights.
        if int(bits.min()) != 0 and int(signed.min()) != np.iinfo(signed.dtype).min:
            return
        zero = (bits & self.after.magnitude_bits) == 0
        stats.zeros += int(np.count_nonzero(zero))
        stats.zeroed += int(np.count_nonzero(exact[zero]))

    def _count(self, exact: Floats, cast: Bytes, difference: Floats, stats: CastStats) -> None:
        bits = cast.view(self.after.raw)
        nan, inf = np.isnan(exact), np.isinf(exact)
        overflow = ((bits & self.after.magnitude_bits) == self.after.infinity_bits) & ~inf
        bits[nan] = self.after.nan_bits  # one pattern, whatever the processor makes of a NaN
        stats.nan += int(nan.sum())
        stats.inf += int(inf.sum())
        stats.overflow += int(overflow.sum())
        rest = difference[~(nan | inf | overflow)]
        if len(rest):
            stats.error = max(stats.error, float(np.abs(rest).max()))
