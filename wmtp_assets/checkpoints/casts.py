"""The cast of one block of elements, and what it did to them: the only arithmetic on weights.

A kept type is copied with numpy alone; torch is imported when a type changes (`import torch` takes
2 s and 150 MB). Blocks are worked on in parts that stay in the processor's cache.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import ConversionError
from wmtp_assets.checkpoints.tensors import Bytes

if TYPE_CHECKING:
    import torch

_PART = 131_072  # elements: with the scratch memory some 1.3 MB, measured fastest


@dataclass
class CastStats:
    """What a cast did, added up over blocks. Counts are of elements.

    `nan` and `inf` were so at the source; `overflow` were finite and became infinite. `error` is
    the greatest |after - before| among those that are finite on both sides.
    """

    nan: int = 0
    inf: int = 0
    overflow: int = 0
    error: float = 0.0

    def add(self, other: CastStats) -> None:
        """Take another block's numbers in."""
        self.nan += other.nan
        self.inf += other.inf
        self.overflow += other.overflow
        self.error = max(self.error, other.error)


class Cast(Protocol):
    """Turns the bytes of `source` into those of `target`, element by element."""

    def __call__(self, source: Bytes, target: Bytes) -> CastStats: ...


def can_cast(before: DType, after: DType) -> bool:
    """Whether a tensor may go from one type to the other: kept, or between float types."""
    return before is after or (before.is_float and after.is_float)


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
    infinity, sign = dtype.infinity_bits, 1 << (8 * dtype.itemsize - 1)
    every = values.view(dtype.raw)
    for at in range(0, len(every), _PART):
        bits = every[at : at + _PART]
        # Positive values order as signed integers, negative ones as unsigned: two plain maxima
        # are ten times faster than a test of each.
        signed = bits.view(f"<i{dtype.itemsize}")
        if int(signed.max()) >= infinity or int(bits.max()) >= sign | infinity:
            magnitude = bits & (sign - 1)
            stats.nan += int(np.count_nonzero(magnitude > infinity))
            stats.inf += int(np.count_nonzero(magnitude == infinity))


class _Converted:
    """A cast through torch, whose float16 routines use the processor's own instructions."""

    def __init__(self, before: DType, after: DType) -> None:
        import torch

        self.torch = torch
        self.before: torch.dtype = getattr(torch, before)
        self.after: torch.dtype = getattr(torch, after)
        # Differences are taken in a type that holds both sides exactly.
        wide = torch.float64 if torch.float64 in (self.before, self.after) else torch.float32
        self.exact = torch.empty(0 if self.before is wide else _PART, dtype=wide)
        self.back = torch.empty(_PART, dtype=wide)

    def __call__(self, source: Bytes, target: Bytes) -> CastStats:
        torch = self.torch
        stats = CastStats()
        before = torch.from_numpy(source).view(self.before)
        after = torch.from_numpy(target).view(self.after)
        for at in range(0, len(before), _PART):
            values, cast = before[at : at + _PART], after[at : at + _PART]
            if len(self.exact):
                exact = self.exact[: len(values)]
                exact.copy_(values)
            else:
                exact = values
            # By way of the wide type: bfloat16 to float16 directly is slower, and no more exact.
            cast.copy_(exact)
            difference = self.back[: len(values)]
            difference.copy_(cast)
            difference.sub_(exact)
            low, high = torch.aminmax(difference)
            greatest = max(-low.item(), high.item())
            if greatest < float("inf"):  # False for NaN as well
                stats.error = max(stats.error, greatest)
            else:
                self._count(exact, cast, difference, stats)
        return stats

    def _count(
        self, exact: torch.Tensor, cast: torch.Tensor, difference: torch.Tensor, stats: CastStats
    ) -> None:
        torch = self.torch
        nan, inf = exact.isnan(), exact.isinf()
        overflow = cast.isinf() & ~inf
        cast[nan] = float("nan")  # one bit pattern, whatever the processor makes of a NaN
        stats.nan += int(nan.sum())
        stats.inf += int(inf.sum())
        stats.overflow += int(overflow.sum())
        rest = difference[~(nan | inf | overflow)]
        if len(rest):
            stats.error = max(stats.error, rest.abs().max().item())
        torch.nan_to_num_(difference)


@contextlib.contextmanager
def single_threaded_torch(wanted: bool) -> Iterator[None]:
    """While the casts run, torch keeps to the caller's thread: the other cores hash and write."""
    if not wanted:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
