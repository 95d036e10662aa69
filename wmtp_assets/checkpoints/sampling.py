"""Values of every tensor, drawn at random on both sides of a cast and compared bit for bit.

A tensor of at most `WHOLE` elements is compared whole. Of a larger one, `POSITIONS` strata of equal
size are made, one position is drawn in each, and the `RUN` values from there on are compared.

What is found: let a share f of a tensor's values be wrong, wherever they are. A position within a
stratum of which a share f_i is wrong misses with probability 1 - f_i, all of them with the product,
which is at most (1 - f)^POSITIONS because the mean of the f_i is f. For f = 1 % that is
0.99^2100 = 7e-10. The runs add to that: of values that are wrong here and there, independently,
134,400 are looked at, so that f = 0.016 % is found with the same probability.

What it costs: 2 x 2,100 reads per tensor of at most 256 bytes each, in the order of the file,
without read-ahead: 1.3 million for a 7B model of 300 tensors, a few seconds where the pages are
cached, and at worst a tenth of the pages of a 27 GB file where they are not.

What is not found for certain: a change of less than that share of one large tensor, made together
with the certificate, SHA256SUMS and every receipt. `wmtp verify --against-source` converts
everything again and finds any value; against somebody who can change the fetched files and
assets.lock as well, only a digest pinned in the catalog or a signature helps.
"""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.checkpoints.casts import Cast, CastStats, make_cast
from wmtp_assets.checkpoints.digests import digest_of
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.planning import Plan, PlannedTensor
from wmtp_assets.checkpoints.safetensors_file import Header
from wmtp_assets.checkpoints.tensors import Bytes, SourceTensor, read_tensor
from wmtp_assets.errors import WmtpError

POSITIONS = 2_100
RUN = 64  # values from each position on
WHOLE = POSITIONS * RUN  # elements; up to here a sample would cost as much as everything
_THREADS = 8  # reads that wait for the disk at once
_AT_ONCE = 16  # tensors whose samples are in memory together, some 0.8 MB each


def fresh_seed() -> int:
    """A seed that nobody can know beforehand; reported with what it found, it repeats a sample."""
    return secrets.randbits(48)


@dataclass(frozen=True)
class Whole:
    """A tensor that was compared whole: the digest of its source's bytes, and what the cast did."""

    source_digest: str
    stats: CastStats


@dataclass
class Comparison:
    """What was compared: `different` says which tensors differ, in words that name each."""

    seed: int
    values: int = 0
    tensors: int = 0
    different: list[str] = field(default_factory=list)
    whole: dict[str, Whole] = field(default_factory=dict)


def compare_samples(header: Header, plan: Plan, seed: int) -> Comparison:
    """Compare values of every tensor of `plan` with those of the file that `header` describes.

    A tensor that is missing, of another type or shape, or cannot be read counts as different.
    """
    found = Comparison(seed)
    pairs = {(tensor.source.dtype, tensor.spec.dtype) for tensor in plan.tensors}
    casts = {pair: make_cast(*pair) for pair in pairs}
    with ExitStack() as stack:
        files = _Files(stack)
        pool = stack.enter_context(ThreadPoolExecutor(_THREADS))

        def read(tensor: PlannedTensor) -> tuple[Bytes, Bytes] | str:
            try:
                return _both_sides(files, header, tensor, seed)
            except (WmtpError, OSError, EOFError) as error:
                return str(error)

        for first in range(0, len(plan.tensors), _AT_ONCE):
            some = plan.tensors[first : first + _AT_ONCE]
            for tensor, sample in zip(some, pool.map(read, some), strict=True):
                name = tensor.spec.name
                found.tensors += 1
                if isinstance(sample, str):
                    found.different.append(f"{name} ({sample})")
                    continue
                _compare(found, tensor, sample, casts)
    return found


def _compare(
    found: Comparison,
    tensor: PlannedTensor,
    sample: tuple[Bytes, Bytes],
    casts: Mapping[tuple[DType, DType], Cast],
) -> None:
    before, after = sample
    made = np.empty(len(after), np.uint8)
    stats = casts[tensor.source.dtype, tensor.spec.dtype](before, made)
    found.values += len(after) // tensor.spec.dtype.itemsize
    if not np.array_equal(made, after):
        found.different.append(tensor.spec.name)
    if is_whole(tensor):
        found.whole[tensor.spec.name] = Whole(digest_of(before), stats)


def _both_sides(
    files: _Files, header: Header, tensor: PlannedTensor, seed: int
) -> tuple[Bytes, Bytes]:
    """The same values of a tensor at its source and in the file, before any cast."""
    spec = tensor.spec
    if spec.name not in header.tensors:
        raise EOFError("missing")
    target = header.source_tensor(spec.name)
    if (target.shape, target.dtype) != (spec.shape, spec.dtype):
        raise EOFError(f"{target.dtype} {list(target.shape)}")
    if is_whole(tensor):
        return read_tensor(tensor.source), read_tensor(target)
    positions = draw(spec.name, tensor.source.elements, seed)
    counts = np.minimum(_room(tensor.source, positions), _room(target, positions))
    return (
        files.read(tensor.source, positions, counts),
        files.read(target, positions, counts),
    )


def is_whole(tensor: PlannedTensor) -> bool:
    """Whether a tensor is compared whole."""
    return tensor.source.elements <= WHOLE


def draw(name: str, elements: int, seed: int) -> NDArray[np.int64]:
    """A position in each of `POSITIONS` strata of a tensor, ascending; the same for one seed."""
    # Python promises random()'s stream for all versions; secrecy comes from the seed.
    stream = random.Random(f"{seed}:{name}")  # noqa: S311
    drawn = np.array([stream.random() for _ in range(POSITIONS)])
    bounds = np.arange(POSITIONS + 1, dtype=np.int64) * elements // POSITIONS
    sizes = np.diff(bounds)
    found: NDArray[np.int64] = bounds[:-1] + np.minimum((drawn * sizes).astype(np.int64), sizes - 1)
    return found


def _room(tensor: SourceTensor, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many values, at most `RUN`, lie one behind the other in the file from each position."""
    if tensor.contiguous:
        return np.minimum(tensor.elements - positions, RUN)
    if tensor.strides[-1] != 1:
        return np.ones_like(positions)
    return np.minimum(tensor.shape[-1] - positions % tensor.shape[-1], RUN)


class _Files:
    """Open files by path, read here and there; several threads may read."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._open: dict[Path, int] = {}

    def read(
        self, tensor: SourceTensor, positions: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> Bytes:
        """`counts` values from each of `positions` (row-major) on; EOFError if there are fewer."""
        fd = self._descriptor(tensor.file)
        size = tensor.dtype.itemsize
        parts = [
            os.pread(fd, count * size, offset)
            for offset, count in zip(_offsets(tensor, positions), counts.tolist(), strict=True)
        ]
        found = np.frombuffer(b"".join(parts), np.uint8)
        if len(found) != int(counts.sum()) * size:
            raise EOFError("the file ends too early")
        return found

    def _descriptor(self, path: Path) -> int:
        fd = self._open.get(path)
        if fd is None:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._stack.callback(os.close, fd)
            # Read-ahead would fetch 128 KiB for every value.
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
            # Two threads may open one file: each descriptor is closed in the end.
            self._open.setdefault(path, fd)
        return fd


def _offsets(tensor: SourceTensor, positions: NDArray[np.int64]) -> Iterator[int]:
    """The byte of the file at which each element lies, counted in row-major order."""
    if tensor.contiguous:
        elements = positions
    else:
        places = np.unravel_index(positions, tensor.shape)
        elements = np.zeros_like(positions)
        for place, stride in zip(places, tensor.strides, strict=True):
            elements += place * stride
    yield from (tensor.offset + elements * tensor.dtype.itemsize).tolist()
