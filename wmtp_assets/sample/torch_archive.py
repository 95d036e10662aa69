"""Writes torch's zip archives (`.pth`, `.bin`) without torch, one storage after the other.

Here: the format, and nothing about any model. The sample's checkpoints and the benchmarks' 27 GB
ones are written through this, so memory stays at one chunk whatever the size. The same entries
give the same bytes on every machine: no clock, no hash seed and no address reaches the file.

The layout is that of torch 2.1 to 2.3, which wrote the upstream files: `<folder>/data.pkl`,
`byteorder`, one stored record per storage under `data/`, `version`, `.data/serialization_id`;
each record starts on a multiple of 64 bytes and is followed by a data descriptor. Seen in files
that torch.save wrote, and in torch's caffe2/serialize/inline_container.cc.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, TypeAlias

ALIGNMENT = 64
_ZIP32_LIMIT = 0xFFFFFFFF
# Bit 3: sizes and CRC follow the data, so nothing already written is ever touched again.
# Bit 11: names are UTF-8.
_FLAGS = 0x0808

# torch's storage class, bytes per element.
_STORAGES: Mapping[str, tuple[str, int]] = {
    "float64": ("DoubleStorage", 8),
    "float32": ("FloatStorage", 4),
    "float16": ("HalfStorage", 2),
    "bfloat16": ("BFloat16Storage", 2),
    "complex64": ("ComplexFloatStorage", 8),
    "int64": ("LongStorage", 8),
    "int32": ("IntStorage", 4),
    "uint8": ("ByteStorage", 1),
    "bool": ("BoolStorage", 1),
}

Buffer: TypeAlias = bytes | bytearray | memoryview


@dataclass(frozen=True, eq=False)
class Storage:
    """`numel` elements of `dtype` in little-endian order; two tensors may share one object of it.

    `chunks` is called once, when the storage's turn comes, and yields its bytes in order.
    """

    dtype: str
    numel: int
    chunks: Callable[[], Iterable[Buffer]]

    @property
    def nbytes(self) -> int:
        return self.numel * _STORAGES[self.dtype][1]


@dataclass(frozen=True)
class Tensor:
    """A view on a storage; `offset` and `strides` count elements (default: contiguous from 0)."""

    storage: Storage
    shape: tuple[int, ...]
    offset: int = 0
    strides: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Call:
    """A pickled call of `module.name(*arguments)`, as numpy arrays or hostile files hold them."""

    module: str
    name: str
    arguments: tuple[Value, ...] = ()
    state: Value = None


Value: TypeAlias = (
    "bool | int | float | str | tuple[Value, ...] | list[Value] | Mapping[str, Value]"
    " | Tensor | Call | None"
)


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides in elements: (2, 3, 4) gives (12, 4, 1)."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def write_archive(target: BinaryIO, value: Value, *, folder: str = "archive") -> None:
    """Write `value` (a state dict, as a rule) as `torch.save` would, in one forward pass.

    `target` only needs `write`, and must be at its beginning. A mapping at the top becomes an
    OrderedDict, as state dicts are; mappings below it are written as dicts.

    Raises ValueError when a storage's chunks do not add up to its declared size.
    """
    pickler = _Pickle()
    pickle = pickler.dump(value)
    archive = _Zip(target, folder)
    archive.add("data.pkl", len(pickle), [pickle])
    archive.add("byteorder", 6, [b"little"])
    for key, storage in enumerate(pickler.storages):
        archive.add(f"data/{key}", storage.nbytes, storage.chunks())
    archive.add("version", 2, [b"3\n"])
    # torch writes 20 + 20 digits made of the names' and the contents' hashes, and never checks
    # them: ours follow from the contents as well.
    identity = int(hashlib.sha256(pickle + struct.pack("<Q", archive.crcs)).hexdigest(), 16)
    archive.add(".data/serialization_id", 40, [f"{identity % 10**40:040d}".encode()])
    archive.close()


@dataclass
class _Pickle:
    """A pickle of protocol 2 without a memo, in the few opcodes that torch's own files use."""

    storages: list[Storage] = field(default_factory=list)
    _keys: dict[int, int] = field(default_factory=dict)

    def dump(self, value: Value) -> bytes:
        body: Iterable[bytes]
        if isinstance(value, Mapping):
            body = [self._global("collections", "OrderedDict"), b")R", *self._items(value)]
        else:
            body = self._emit(value)
        return b"".join([b"\x80\x02", *body, b"."])

    def _emit(self, value: Value) -> Iterator[bytes]:
        if value is None:
            yield b"N"
        elif isinstance(value, bool):
            yield b"\x88" if value else b"\x89"
        elif isinstance(value, int):
            yield self._integer(value)
        elif isinstance(value, float):
            yield b"G" + struct.pack(">d", value)
        elif isinstance(value, str):
            data = value.encode()
            yield b"X" + struct.pack("<I", len(data)) + data
        elif isinstance(value, tuple):
            yield b"("
            for item in value:
                yield from self._emit(item)
            yield b"t"
        elif isinstance(value, list):
            yield b"]("
            for item in value:
                yield from self._emit(item)
            yield b"e"
        elif isinstance(value, Mapping):
            yield b"}"
            yield from self._items(value)
        elif isinstance(value, Tensor):
            yield from self._tensor(value)
        else:
            yield self._global(value.module, value.name)
            yield from self._emit(value.arguments)
            yield b"R"
            if value.state is not None:
                yield from self._emit(value.state)
                yield b"b"

    def _items(self, value: Mapping[str, Value]) -> Iterator[bytes]:
        yield b"("
        for name, item in value.items():
            yield from self._emit(name)
            yield from self._emit(item)
        yield b"u"

    def _tensor(self, tensor: Tensor) -> Iterator[bytes]:
        storage = tensor.storage
        key = self._keys.setdefault(id(storage), len(self._keys))
        if key == len(self.storages):
            self.storages.append(storage)
        strides = contiguous_strides(tensor.shape) if tensor.strides is None else tensor.strides
        yield self._global("torch._utils", "_rebuild_tensor_v2")
        yield b"(("
        yield from self._emit("storage")
        yield self._global("torch", _STORAGES[storage.dtype][0])
        yield from self._emit(str(key))
        yield from self._emit("cpu")
        yield from self._emit(storage.numel)
        yield b"tQ"  # the tuple is the persistent id of the storage
        yield from self._emit(tensor.offset)
        yield from self._emit(tensor.shape)
        yield from self._emit(strides)
        yield b"\x89"  # requires_grad
        yield self._global("collections", "OrderedDict") + b")R"  # backward hooks: none
        yield b"tR"

    @staticmethod
    def _global(module: str, name: str) -> bytes:
        return f"c{module}\n{name}\n".encode()

    @staticmethod
    def _integer(value: int) -> bytes:
        if 0 <= value < 1 << 8:
            return b"K" + struct.pack("<B", value)
        if 0 <= value < 1 << 16:
            return b"M" + struct.pack("<H", value)
        if -(1 << 31) <= value < 1 << 31:
            return b"J" + struct.pack("<i", value)
        data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        return b"\x8a" + struct.pack("<B", len(data)) + data


@dataclass
class _Zip:
    """A zip file of stored records, written forward only, zip64 where a number needs it."""

    target: BinaryIO
    folder: str
    position: int = 0
    crcs: int = 0
    _directory: list[bytes] = field(default_factory=list)

    def add(self, record: str, size: int, chunks: Iterable[Buffer]) -> None:
        name = f"{self.folder}/{record}".encode()
        start = self.position
        large = size >= _ZIP32_LIMIT
        # In a record of unknown size the 64-bit descriptor is announced by this (zeroed) field.
        zip64 = struct.pack("<HHQQ", 1, 16, 0, 0) if large else b""
        unpadded = start + 30 + len(name) + len(zip64) + 4
        padding = -unpadded % ALIGNMENT
        extra = zip64 + b"FB" + struct.pack("<H", padding) + b"Z" * padding
        self._write(
            struct.pack("<4s5H3I2H", b"PK\3\4", 0, _FLAGS, 0, 0, 0, 0, 0, 0, len(name), len(extra))
        )
        self._write(name + extra)

        data_start = self.position
        crc = 0
        for chunk in chunks:
            crc = zlib.crc32(chunk, crc)
            self._write(chunk)
        if self.position - data_start != size:
            raise ValueError(
                f"{record} is declared with {size} bytes; its chunks hold"
                f" {self.position - data_start}"
            )
        self._write(struct.pack("<4sIQQ" if large else "<4sIII", b"PK\7\x08", crc, size, size))
        self.crcs = (self.crcs * 31 + crc) % (1 << 64)

        wide = [number for number in (size, size, start) if number >= _ZIP32_LIMIT]
        central_extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
        small_size, small_start = min(size, _ZIP32_LIMIT), min(start, _ZIP32_LIMIT)
        fixed = (0, 0, _FLAGS, 0, 0, 0, crc, small_size, small_size, len(name), len(central_extra))
        self._directory.append(
            struct.pack("<4s6H3I5H2I", b"PK\1\2", *fixed, 0, 0, 0, 0, small_start)
            + name
            + central_extra
        )

    def close(self) -> None:
        directory = b"".join(self._directory)
        start, count, size = self.position, len(self._directory), len(directory)
        end64 = start + size
        self._write(directory)
        self._write(
            struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 0x031E, 45, 0, 0, count, count, size, start)
            + struct.pack("<4sIQI", b"PK\6\7", 0, end64, 1)
            + struct.pack(
                "<4s4H2IH",
                b"PK\5\6",
                *(0, 0, min(count, 0xFFFF), min(count, 0xFFFF)),
                *(min(size, _ZIP32_LIMIT), min(start, _ZIP32_LIMIT), 0),
            )
        )

    def _write(self, data: Buffer) -> None:
        self.target.write(data)
        self.position += len(data) if isinstance(data, bytes | bytearray) else data.nbytes
