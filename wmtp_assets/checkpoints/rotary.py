"""Rotary tables that a checkpoint stores: compared with what its config means before they go.

Old files hold `freqs_cis` (Meta: exp(i * position * frequency), one row per position, as complex64
or as pairs), `rope.freqs` or, in every layer, `rotary_emb.inv_freq` (the frequencies). They are
computed at run time from the config, so a table that says otherwise means that one of the two is
not the model's. Only these few bytes are read here, never a weight.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.rope import Frequencies, Rope, inverse_frequencies
from wmtp_assets.checkpoints.tensors import SourceTensor, read_tensor

Config = Mapping[str, object]

_ROWS = 4096  # positions of a long table that are in memory together
# By what the values were rounded to: relative error of a frequency, absolute error of a sine.
_ROUNDED = {
    DType.FLOAT64: (1e-5, 1e-5),
    DType.FLOAT32: (1e-5, 1e-5),
    DType.COMPLEX64: (1e-5, 1e-5),
    DType.FLOAT16: (2.0**-10, 2.0**-10),
    DType.BFLOAT16: (2.0**-8, 2.0**-8),
}
_SUBNORMAL = 2.0**-24  # the smallest step of float16, which small frequencies are rounded to
_OF_ANGLE = 4e-6  # float32 arithmetic of position * frequency, relative to the angle
_DIGITS = 7


def check_tables(rope: Rope, head_dim: int, tables: Iterable[SourceTensor]) -> None:
    """Compare every stored table with the config's `rope`; LayoutError where one contradicts it."""
    for table in tables:
        found = _Table(table, head_dim)
        if not any(found.agrees(frequencies) for frequencies in rope.frequencies(head_dim)):
            theta = found.theta()
            raise LayoutError(
                f"The stored rotary table {table.name} contradicts the config",
                expected=f"a table of rope_theta {rope.theta:g}"
                + ("" if rope.kind == "default" else f", scaled as {rope.kind}"),
                found="a table that no rope_theta alone gives"
                if theta is None
                else f"a table of rope_theta {theta:g}",
                where=table.file,
                hint="Find out which of the two the model was trained with; nothing was written. "
                "If it is the table, correct rope_theta in the config in a directory mirror, and "
                "point WMTP_HUB at that.",
            )


def theta_of(params: Config, tables: Sequence[SourceTensor]) -> tuple[float, str]:
    """rope_theta of a params.json that states none: read from a stored table. And which table.

    Raises LayoutError where there is no table, or none of its kind gives a single theta.
    """
    dim, heads = params.get("dim"), params.get("n_heads")
    for table in tables:
        if type(dim) is int and type(heads) is int and heads > 0:
            theta = _Table(table, dim // heads).theta()
            if theta is not None:
                return theta, table.name
    raise LayoutError(
        "params.json states no rope_theta",
        expected="rope_theta, or a stored table (freqs_cis or rope.freqs) that it follows from",
        found="neither" if not tables else f"{tables[0].name}, which no rope_theta alone gives",
        where="params.json",
        hint="Find out with which theta the model was trained, add rope_theta to params.json in a "
        "directory mirror, and point WMTP_HUB at that.",
    )


class _Table:
    """A stored table: frequencies (pairs,), or turns (rows, pairs) at positions from 0 on."""

    def __init__(self, tensor: SourceTensor, head_dim: int) -> None:
        self.pairs = head_dim // 2
        self.head_dim = head_dim
        is_complex = tensor.dtype is DType.COMPLEX64
        shape = (*tensor.shape, 2) if is_complex else tensor.shape
        self.of_positions = len(shape) == 3
        wanted = (*shape[:1], self.pairs, 2) if self.of_positions else (self.pairs,)
        if shape != wanted or 0 in shape or tensor.dtype not in _ROUNDED:
            raise LayoutError(
                f"The stored rotary table {tensor.name} does not belong to this model",
                expected=f"({self.pairs},) frequencies, (positions, {self.pairs}) complex numbers, "
                f"or (positions, {self.pairs}, 2) pairs, for head_dim {head_dim}",
                found=f"{tensor.dtype} {list(tensor.shape)}",
                where=tensor.file,
                hint="Check that config and weights are of one model.",
            )
        self.tensor = tensor
        rows = tensor.shape[0]
        starts = list(range(0, rows, _ROWS)) if self.of_positions else [0]
        # Both ends stay in memory; what lies between is read when they agree.
        self.parts = [self._part(start) for start in dict.fromkeys((starts[0], starts[-1]))]
        self.between = starts[1:-1]
        self.roundings = self._roundings(tensor.dtype)

    def _part(self, start: int) -> tuple[int, npt.NDArray[np.float64]]:
        if not self.of_positions:
            return start, _values(self.tensor)
        rows = min(_ROWS, self.tensor.shape[0] - start)
        return start, _values(self.tensor.narrow(0, start, rows))

    def _roundings(self, dtype: DType) -> list[DType]:
        """The type itself, and narrower ones whose values these are: it was widened once."""
        found = [dtype]
        if dtype.itemsize >= 4:
            for narrow in (DType.FLOAT16, DType.BFLOAT16):
                if all(_is_rounded(values, narrow) for _, values in self.parts):
                    found.append(narrow)
        return found

    def agrees(self, frequencies: Frequencies) -> bool:
        """Whether the table is that of `frequencies`, (pairs,), but for rounding."""
        return any(self._agrees(frequencies, dtype) for dtype in self.roundings)

    def _agrees(self, frequencies: Frequencies, dtype: DType) -> bool:
        relative, absolute = _ROUNDED[dtype]
        for start, values in chain(self.parts, map(self._part, self.between)):
            if not self.of_positions:
                limit = relative * frequencies
                limit = limit + (_SUBNORMAL if dtype is DType.FLOAT16 else 0.0)
                if not bool((np.abs(values - frequencies) <= limit).all()):
                    return False
                continue
            angles = np.outer(np.arange(start, start + len(values)), frequencies)
            limit = absolute + _OF_ANGLE * angles
            for wanted, column in ((np.cos(angles), 0), (np.sin(angles), 1)):
                if not bool((np.abs(values[..., column] - wanted) <= limit).all()):
                    return False
        return True

    def theta(self) -> float | None:
        """The roundest theta whose table this is; None where there is none."""
        values = self.parts[0][1]
        if not self.of_positions:
            found = values
        elif len(values) > 1:
            found = np.arctan2(values[1, :, 1], values[1, :, 0])  # below one turn: the frequencies
        else:
            return None
        usable = np.isfinite(found) & (found > 0) & (np.arange(self.pairs) > 0)
        if not usable.any():
            return None
        exponents = (2 * np.arange(self.pairs) / self.head_dim)[usable]
        logs = -np.log(found[usable])
        fitted = float((exponents * logs).sum() / (exponents**2).sum())
        if not 0 < fitted < 50:  # a theta above 1: the frequencies fall
            return None
        for digits in range(1, _DIGITS + 1):
            theta = float(f"{math.exp(fitted):.{digits - 1}e}")
            if self.agrees(inverse_frequencies(theta, self.head_dim)):
                return theta
        return None


def _values(tensor: SourceTensor) -> npt.NDArray[np.float64]:
    """A tensor's values as float64; complex ones as pairs."""
    stored = read_tensor(tensor)
    match tensor.dtype:
        case DType.BFLOAT16:
            values = (stored.view("<u2").astype("<u4") << 16).view("<f4")
        case DType.FLOAT16:
            values = stored.view("<f2")
        case DType.FLOAT64:
            values = stored.view("<f8")
        case _:
            values = stored.view("<f4")
    shape = (*tensor.shape, 2) if tensor.dtype is DType.COMPLEX64 else tensor.shape
    return values.astype(np.float64).reshape(shape)


def _is_rounded(values: npt.NDArray[np.float64], dtype: DType) -> bool:
    if dtype is DType.FLOAT16:
        with np.errstate(over="ignore"):
            return bool((values.astype("<f2").astype(np.float64) == values).all())
    single = values.astype("<f4")
    return bool((single == values).all() and not (single.view("<u4") & 0xFFFF).any())
