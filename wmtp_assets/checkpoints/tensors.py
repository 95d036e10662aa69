"""Where a tensor's bytes lie in a file, and how to read them in bounded pieces.

No values are interpreted here. A tensor is a view of a storage (offset, shape, strides), as in
torch; what leaves this module is always its bytes in row-major order.
"""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import CheckpointError

Bytes = npt.NDArray[np.uint8]
# Every known layout's names are made of these; anything else is refused before it reaches a
# header, a terminal, a path or a page. `__metadata__` is safetensors' own key.
_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,255}")


def is_plain_name(name: str) -> bool:
    """Whether `name` may be a tensor's name: 1-255 of letters, digits, `_`, `.`, `-`."""
    return _NAME.fullmatch(name) is not None and name != "__metadata__"


@dataclass(frozen=True, slots=True)
class SourceTensor:
    """A tensor in a file. `strides` count elements; `offset` is its first element's byte in `file`.

    `storage` identifies the memory that it views, within the file: two tensors with equal file,
    storage, offset, shape and strides are one tensor under two names.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    file: Path
    offset: int
    storage: str

    @property
    def elements(self) -> int:
        """How many elements the shape holds."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes, row-major and without gaps."""
        return self.elements * self.dtype.itemsize

    @property
    def contiguous(self) -> bool:
        """Whether the bytes lie in the file as they leave it: row-major, without gaps."""
        return self.elements == 0 or all(
            stride == expected
            for size, stride, expected in zip(
                self.shape, self.strides, row_major(self.shape), strict=True
            )
            if size != 1
        )

    def same_memory(self, other: SourceTensor) -> bool:
        """Whether `other` is the same bytes of the same storage, and so equal without reading."""
        return (
            (self.file, self.storage, self.offset) == (other.file, other.storage, other.offset)
            and (self.dtype, self.shape) == (other.dtype, other.shape)
            and self.strides == other.strides
        )

    def narrow(self, axis: int, start: int, length: int) -> SourceTensor:
        """The same tensor, of which only `start`..`start + length` of `axis` is kept."""
        if min(start, length) < 0 or start + length > self.shape[axis]:
            raise CheckpointError(
                f"{self.name} cannot be cut",
                expected=f"a range within 0..{self.shape[axis]} of axis {axis}",
                found=f"{start}..{start + length}",
                where=self.file,
            )
        shape = (*self.shape[:axis], length, *self.shape[axis + 1 :])
        offset = self.offset + start * self.strides[axis] * self.dtype.itemsize
        return replace(self, shape=shape, offset=offset)


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in elements, of a tensor of `shape` that lies row by row without gaps."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return tuple(strides)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a tensor that fits a buffer: the next `nbytes` of its row-major bytes."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int
    nbytes: int


def pieces(tensor: SourceTensor, limit: int) -> Iterator[Piece]:
    """Cut `tensor` into pieces of at most `limit` bytes, in row-major order.

    A contiguous tensor is cut anywhere between elements; others along their leading axes.
    """
    itemsize = tensor.dtype.itemsize
    if tensor.elements == 0:
        return
    if tensor.contiguous:
        step = limit // itemsize * itemsize
        for start in range(0, tensor.nbytes, step):
            size = min(step, tensor.nbytes - start)
            yield Piece((size // itemsize,), (1,), tensor.offset + start, size)
    else:
        yield from _strided(tensor.shape, tensor.strides, tensor.offset, itemsize, limit)


def _strided(
    shape: tuple[int, ...], strides: tuple[int, ...], offset: int, itemsize: int, limit: int
) -> Iterator[Piece]:
    inner = math.prod(shape[1:]) * itemsize
    rows = limit // inner
    if rows == 0:
        for index in range(shape[0]):
            start = offset + index * strides[0] * itemsize
            yield from _strided(shape[1:], strides[1:], start, itemsize, limit)
        return
    for first in range(0, shape[0], rows):
        count = min(rows, shape[0] - first)
        start = offset + first * strides[0] * itemsize
        yield Piece((count, *shape[1:]), strides, start, count * inner)


def read_piece(fd: int, piece: Piece, dtype: DType, into: Bytes) -> None:
    """Read a piece's bytes, row-major, into the first `piece.nbytes` of `into`.

    Reads nothing but the piece's own bytes. Raises EOFError where the file ends too early.
    """
    itemsize = dtype.itemsize
    axes = [axis for axis, size in enumerate(piece.shape) if size != 1]
    axes.sort(key=lambda axis: -piece.strides[axis])  # as they lie in the file
    outer, run = list(axes), 1
    while outer and piece.strides[outer[-1]] == run:
        run *= piece.shape[outer.pop()]
    in_file_order = axes == sorted(axes)
    lying = into[: piece.nbytes] if in_file_order else np.empty(piece.nbytes, np.uint8)
    at = 0
    for index in itertools.product(*(range(piece.shape[axis]) for axis in outer)):
        steps = sum(i * piece.strides[axis] for i, axis in zip(index, outer, strict=True))
        read_exactly(fd, piece.offset + steps * itemsize, lying[at : at + run * itemsize])
        at += run * itemsize
    if not in_file_order:
        # A transposed view: put the axes back in their order.
        stored = lying.view(dtype.raw).reshape([piece.shape[axis] for axis in axes])
        places = [axes.index(axis) for axis in sorted(axes)]
        wanted = into[: piece.nbytes].view(dtype.raw)
        np.copyto(wanted.reshape([piece.shape[a] for a in sorted(axes)]), stored.transpose(places))


def read_exactly(fd: int, offset: int, into: Bytes) -> None:
    """Fill `into` from byte `offset` of the file; EOFError where the file is shorter."""
    done = 0
    while done < len(into):
        count = os.preadv(fd, [into[done:].data], offset + done)
        if count == 0:
            raise EOFError(f"the file ends at byte {offset + done}")
        done += count


def read_tensor(tensor: SourceTensor, limit: int = 1 << 30) -> Bytes:
    """A whole tensor's bytes, row-major; for small ones (`limit` bytes at most)."""
    if tensor.nbytes > limit:
        raise CheckpointError(f"{tensor.name} is too large to be read whole", where=tensor.file)
    values = np.empty(tensor.nbytes, np.uint8)
    at = 0
    for block in read_blocks(tensor):
        values[at : at + len(block)] = block
        at += len(block)
    return values


def read_blocks(tensor: SourceTensor) -> Iterator[Bytes]:
    """A tensor's bytes, row-major, some at a time; each block is overwritten by the next."""
    limit = 1 << 22
    memory = np.empty(min(limit, tensor.nbytes), np.uint8)
    fd = os.open(tensor.file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for piece in pieces(tensor, limit):
            read_piece(fd, piece, tensor.dtype, memory)
            yield memory[: piece.nbytes]
    finally:
        os.close(fd)
