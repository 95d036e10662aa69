"""Runs a network whose weights stay in their file: each matrix is read, used and forgotten.

A 13 GB model is executed in some tens of MB: `nn.Linear` and `nn.Embedding` read the rows that they
multiply or look up, cast them to float32 (a CPU multiplies half precision slowly) and drop them. A
file that fits into memory beside everything else is mapped, not read: whoever digested it just now
left it there, and to cast from a map takes a quarter less of the processor than to copy first.
Everything else (norms, biases) is small and is loaded. Gradients reach the inputs of a matrix by
reading it once more, and its own gradient is looked at block by block, never stored.

Belongs here: executing from a file. Which checks ask for it is in `checks.py`.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import CheckpointError
from wmtp_assets.checkpoints.safetensors_file import Header, TensorInfo
from wmtp_assets.checkpoints.tensors import Bytes, read_exactly
from wmtp_assets.storage import page_cache

_BLOCK_ELEMENTS = 1 << 20  # 4 MB in float32: stays in the processor's cache while it is used
_AHEAD = 8 << 20  # bytes that the disk is asked for before they are needed
TORCH_DTYPES = {
    DType.FLOAT32: torch.float32,
    DType.FLOAT16: torch.float16,
    DType.BFLOAT16: torch.bfloat16,
}


@dataclass
class Gradient:
    """What was seen of a parameter's gradient: if there is one, all finite, and not all zero."""

    finite: bool = True
    nonzero: bool = False
    reached: bool = False

    def add(self, block: Tensor) -> None:
        """Take a block of it into account."""
        self.reached = True
        # A sum is finite only where every summand is; it is found in a fifth of the time.
        if self.finite and not block.sum().isfinite():
            self.finite = bool(block.isfinite().all())
        self.nonzero = self.nonzero or bool(block.any())


class _WeightsFile:
    """An open file of weights, mapped where it fits into memory.

    The map is private: nothing that writes to it by mistake reaches the file.
    """

    def __init__(self, header: Header) -> None:
        self._descriptor = os.open(header.path, os.O_RDONLY | os.O_CLOEXEC)
        self._map: mmap.mmap | None = None
        # Beyond the end of a file that has shrunk since its header was read a map must not reach.
        if page_cache.fits(header.size) and os.fstat(self._descriptor).st_size == header.size:
            self._map = mmap.mmap(self._descriptor, header.size, access=mmap.ACCESS_COPY)

    def read(self, offset: int, buffer: Bytes) -> Bytes:
        """The bytes from `offset` on, as many as `buffer` holds: there, or where the file is
        mapped. EOFError where the file is shorter."""
        if self._map is not None:
            return np.frombuffer(self._map, np.uint8, len(buffer), offset)
        read_exactly(self._descriptor, offset, buffer)
        return buffer

    def expect(self, offset: int, length: int) -> None:
        """These bytes are read soon, in order."""
        page_cache.read_in_order(self._descriptor)
        page_cache.expect(self._descriptor, offset, length)

    def close(self) -> None:
        """Nothing more is read. The map goes with the last array that lies in it."""
        self._map = None
        os.close(self._descriptor)


class StreamedMatrix:
    """A matrix (rows, columns) in a file, read in blocks of rows as float32."""

    def __init__(self, file: _WeightsFile, info: TensorInfo, start: int) -> None:
        self.rows, self.columns = info.shape
        self.gradient: Gradient | None = None
        self._file = file
        self._dtype = info.dtype
        self._start = start

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """(first row, block) from top to bottom; a block is only valid until the next."""
        height = max(1, _BLOCK_ELEMENTS // self.columns)
        stored = np.empty(height * self.columns * self._dtype.itemsize, np.uint8)
        wide = torch.empty(height, self.columns)
        width = self.columns * self._dtype.itemsize
        ahead = max(1, _AHEAD // (height * width)) * height
        for first in range(0, self.rows, height):
            if first % ahead == 0:
                self._file.expect(self._start + first * width, 2 * ahead * width)
            count = min(height, self.rows - first)
            yield first, self._read(first, count, stored, wide)

    def rows_at(self, numbers: Tensor) -> Tensor:
        """The rows of these numbers, float32 (*numbers.shape, columns)."""
        found = torch.empty(numbers.numel(), self.columns)
        stored = np.empty(self.columns * self._dtype.itemsize, np.uint8)
        for place, number in enumerate(numbers.flatten().tolist()):
            self._read(number, 1, stored, found[place : place + 1])
        return found.view(*numbers.shape, self.columns)

    def _read(self, first: int, count: int, stored: np.ndarray[Any, Any], wide: Tensor) -> Tensor:
        width = self.columns * self._dtype.itemsize
        part = self._file.read(self._start + first * width, stored[: count * width])
        narrow = torch.from_numpy(part).view(TORCH_DTYPES[self._dtype])
        block = wide[:count]
        block.copy_(narrow.view(count, self.columns))
        return block


class _Multiply(torch.autograd.Function):
    """x @ matrix.T with the matrix in its file, in both directions."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: StreamedMatrix) -> Tensor:
        ctx.save_for_backward(x)
        ctx.matrix = matrix
        out = torch.empty(*x.shape[:-1], matrix.rows)
        for first, block in matrix.blocks():
            out[..., first : first + len(block)] = x @ block.T
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        matrix: StreamedMatrix = ctx.matrix
        above = grads[0].reshape(-1, matrix.rows)
        inputs = x.reshape(-1, matrix.columns)
        below = torch.zeros_like(inputs)
        for first, block in matrix.blocks():
            part = above[:, first : first + len(block)]
            below += part @ block
            if matrix.gradient is not None:
                matrix.gradient.add(part.T @ inputs)
        return below.view_as(x), None


class StreamedWeights:
    """Gives a network on the meta device the weights of a safetensors file, without loading them.

    `names` maps the network's parameter names to the file's where they differ. Use it as a context:
    the file is open until its end, and torch computes in the caller's thread alone: blocks are
    small, and other artifacts are verified on the other cores. The caller has compared names and
    shapes already (`loading.require_fit`). Raises CheckpointError where a tensor is of no dtype
    that is executed.
    """

    def __init__(self, model: nn.Module, header: Header, names: Mapping[str, str]) -> None:
        for name, info in header.tensors.items():
            if info.dtype not in TORCH_DTYPES:
                raise CheckpointError(
                    f"The tensor {name} is of a dtype that is not executed",
                    expected=" or ".join(TORCH_DTYPES),
                    found=info.dtype,
                    where=header.path,
                    hint="Keep one of these as dtype in the catalog.",
                )
        self.model = model
        self._matrices: dict[str, StreamedMatrix] = {}
        self._watched: dict[str, nn.Parameter] = {}
        self._header = header
        self._names = names
        self._file: _WeightsFile
        self._threads = 1

    def __enter__(self) -> StreamedWeights:
        self._file = _WeightsFile(self._header)
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for name, module in self.model.named_modules():
                self._attach(f"{name}." if name else "", module)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        torch.set_num_threads(self._threads)
        self._file.close()

    def watch(self, prefix: str) -> None:
        """Look at the gradients of every parameter whose name begins with `prefix`."""
        for name, matrix in self._matrices.items():
            if name.startswith(prefix):
                matrix.gradient = Gradient()
        for name, parameter in self.model.named_parameters():
            if name.startswith(prefix) and not parameter.is_meta:
                parameter.requires_grad_()
                self._watched[name] = parameter

    def gradients(self) -> dict[str, Gradient]:
        """What was seen of the gradients of the watched parameters, by name."""
        found = {n: m.gradient for n, m in self._matrices.items() if m.gradient is not None}
        for name, parameter in self._watched.items():
            found[name] = Gradient()
            if parameter.grad is not None:
                found[name].add(parameter.grad)
        return found

    def _attach(self, prefix: str, module: nn.Module) -> None:
        own = dict(module.named_parameters(recurse=False))
        if isinstance(module, nn.Linear | nn.Embedding):
            matrix = self._matrix(f"{prefix}weight")
            del own["weight"]
            streamed = (
                _linear(module, matrix)
                if isinstance(module, nn.Linear)
                else _lookup(module, matrix)
            )
            module.forward = streamed  # type: ignore[method-assign]
        for name in own:
            values = self._whole(f"{prefix}{name}")
            setattr(module, name, nn.Parameter(values, requires_grad=False))

    def _matrix(self, name: str) -> StreamedMatrix:
        info = self._header.tensors[self._names.get(name, name)]
        start = self._header.source_tensor(self._names.get(name, name)).offset
        self._matrices[name] = StreamedMatrix(self._file, info, start)
        return self._matrices[name]

    def _whole(self, name: str) -> Tensor:
        """A small tensor as float32."""
        tensor = self._header.source_tensor(self._names.get(name, name))
        stored = self._file.read(tensor.offset, np.empty(tensor.nbytes, np.uint8))
        values = torch.from_numpy(stored).view(TORCH_DTYPES[tensor.dtype])
        return values.view(tensor.shape).to(torch.float32, copy=True)


def _linear(module: nn.Linear, matrix: StreamedMatrix) -> Any:
    def forward(x: Tensor) -> Tensor:
        out: Tensor = _Multiply.apply(x, matrix)  # type: ignore[no-untyped-call]
        return out if module.bias is None else out + module.bias

    return forward


def _lookup(module: nn.Embedding, matrix: StreamedMatrix) -> Any:
    scale = getattr(module, "embed_scale", None)  # transformers' scaled embeddings

    def forward(tokens: Tensor) -> Tensor:
        found = matrix.rows_at(tokens)
        return found if scale is None else found * float(scale)

    return forward


def rebuilt_buffers(model: nn.Module, config: object) -> None:
    """Makes real, on the CPU, the buffers that no file holds: rotary frequencies, and the factor
    by which an embedding is scaled.

    transformers derives both from the config alone; any other buffer on the meta device is of a
    network that this package does not know. Raises ValueError naming it.
    """
    for name, module in list(model.named_modules()):
        left = [key for key, buffer in module.named_buffers(recurse=False) if buffer.is_meta]
        if not left:
            continue
        scale = getattr(module, "scalar_embed_scale", None)
        if left == ["embed_scale"] and isinstance(scale, int | float):
            module.register_buffer("embed_scale", torch.tensor(float(scale)), persistent=False)
            continue
        if not type(module).__name__.endswith("RotaryEmbedding"):
            raise ValueError(f"{name or 'the network'} has buffers that no file holds: {left}")
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, type(module)(config))
