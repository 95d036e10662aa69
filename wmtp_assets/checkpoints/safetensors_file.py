"""safetensors files: the header, read strictly, and laid out exactly as `save_file` lays it out.

Format: https://github.com/huggingface/safetensors#format. The reader is stricter than the library:
duplicate keys, gaps, overlaps, unknown fields and odd names are refused. What the header states is
trusted only after this comparison: its length with the size of the file; dtype and shape of a
tensor with the bytes that it has; and all tensors together cover the rest of the file exactly.
`__metadata__` is not used. Names, shapes and dtypes are then compared with the layout, the config
and the catalog (`planning.py`).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from wmtp_assets.checkpoints import strict_json
from wmtp_assets.checkpoints.dtypes import BY_CODE, DType
from wmtp_assets.checkpoints.errors import SafetensorsError
from wmtp_assets.checkpoints.tensors import SourceTensor, is_plain_name, row_major

METADATA = {"format": "pt"}
"""`__metadata__` of every file that is written here; transformers before 4.47 demands it. A single
key, so that the bytes are the same every time."""
_FETCH_AGAIN = "Make the file again, or fetch it again."


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a header; its bytes are `begin`..`end`, counted from the header's end."""

    dtype: DType
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        """How many elements the shape holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """What a safetensors file says about itself. `tensors` are in the order of their bytes."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    data_start: int
    size: int

    @property
    def parameters(self) -> int:
        """Elements of all tensors together."""
        return sum(info.elements for info in self.tensors.values())

    @property
    def dtypes(self) -> dict[DType, int]:
        """How many tensors are of each type."""
        found: dict[DType, int] = {}
        for info in self.tensors.values():
            found[info.dtype] = found.get(info.dtype, 0) + 1
        return found

    def source_tensor(self, name: str) -> SourceTensor:
        """The tensor `name` as something that can be read, sliced and converted."""
        info = self.tensors[name]
        offset = self.data_start + info.begin
        return SourceTensor(
            name, info.dtype, info.shape, row_major(info.shape), self.path, offset, name
        )


def read_header(path: Path) -> Header:
    """Read and check the header. SafetensorsError where it does not describe the file exactly.

    Every byte behind the header belongs to exactly one tensor. Reads at most 4 MiB.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        prefix = file.read(8)
        length = int.from_bytes(prefix, "little")
        _check_length(length, size, path)
        text = file.read(length)
    return _parsed(text, size, path)


def header_of(beginning: bytes, size: int, path: Path) -> Header:
    """The header of a file elsewhere, which has `size` bytes and begins with `beginning`: the first
    4 MiB and 8 bytes of it or more. `path` is what errors name. Raises SafetensorsError as
    `read_header` does."""
    length = int.from_bytes(beginning[:8], "little")
    _check_length(length, min(size, len(beginning)), path)
    return _parsed(beginning[8 : 8 + length], size, path)


def _check_length(length: int, size: int, path: Path) -> None:
    if size < 8 or length > size - 8:
        _refuse(
            "The header is longer than the file",
            path,
            expected=f"at most {max(size - 8, 0):,} bytes",
            found=f"{length:,} bytes",
        )
    if length > strict_json.MAX_BYTES:
        _refuse("The header is too large", path, strict_json.MAX_BYTES, length)


def _parsed(text: bytes, size: int, path: Path) -> Header:
    length = len(text)
    if not text.startswith(b"{"):
        _refuse("The header does not begin with '{'", path)
    try:
        value = strict_json.loads(text)
    except strict_json.StrictJsonError as error:
        _refuse(f"The header cannot be read: {error}", path)
    if not isinstance(value, dict):
        _refuse("The header is no JSON object", path)
    _check_metadata(value.pop("__metadata__", {}), path)
    infos = {name: _info(name, entry, path) for name, entry in value.items()}
    ordered = dict(sorted(infos.items(), key=lambda item: (item[1].begin, item[1].end)))
    end = 0
    for name, info in ordered.items():
        if info.begin != end:
            _refuse(
                f"The bytes of {name} {'overlap' if info.begin < end else 'leave a gap after'} "
                "those of the tensor before",
                path,
                expected=f"a beginning at {end:,}",
                found=f"{info.begin:,}",
            )
        end = info.end
    if 8 + length + end != size:
        _refuse(
            "The file's length does not match its header",
            path,
            expected=f"{8 + length + end:,} bytes",
            found=f"{size:,} bytes",
        )
    return Header(path, ordered, 8 + length, size)


def _check_metadata(metadata: object, path: Path) -> None:
    if metadata is None:  # the library, too, takes null for none
        return
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        _refuse("The header's __metadata__ is no object of texts", path)


def _info(name: str, entry: object, path: Path) -> TensorInfo:
    if not is_plain_name(name):
        _refuse(f"A tensor's name is not a plain one: {name[:80]!a}", path)
    if not isinstance(entry, dict) or len(entry) != 3:
        _refuse(f"The header's entry for {name} is malformed", path)
    match entry:
        case {"dtype": str(code), "shape": list(shape), "data_offsets": [begin, end]} if len(
            shape
        ) <= 8 and all(type(n) is int and 0 <= n < 1 << 62 for n in [*shape, begin, end]):
            dtype = BY_CODE.get(code)
        case _:
            _refuse(f"The header's entry for {name} is malformed", path)
    if dtype is None:
        _refuse(f"The type of {name} is not supported", path, ", ".join(BY_CODE), ascii(code[:20]))
    info = TensorInfo(dtype, tuple(shape), begin, end)
    if info.elements * dtype.itemsize != end - begin:
        _refuse(
            f"The bytes of {name} do not fit its shape",
            path,
            expected=f"{info.elements * dtype.itemsize:,} bytes for {dtype} {list(shape)}",
            found=f"{end - begin:,}",
        )
    return info


def _refuse(problem: str, path: Path, expected: object = None, found: object = None) -> NoReturn:
    raise SafetensorsError(problem, expected=expected, found=found, where=path, hint=_FETCH_AGAIN)


def unlike_written(header: Header) -> str | None:
    """How a file's header differs from the one that is written here for the same tensors, which is
    all that may stand in it; None where not even a byte differs. Reads the header again."""
    with header.path.open("rb") as file:
        found = file.read(header.data_start)
    specs = [TensorSpec(name, info.dtype, info.shape) for name, info in header.tensors.items()]
    if found == header_bytes(specs):
        return None
    entries = strict_json.loads(found[8:])
    metadata = entries.get("__metadata__") if isinstance(entries, dict) else None
    if metadata != METADATA:
        return f"its __metadata__ is {json.dumps(metadata)[:200]}, not {json.dumps(METADATA)}"
    return "its text is another than this package writes for the same tensors"


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor that a file is to hold."""

    name: str
    dtype: DType
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def in_file_order(specs: Sequence[TensorSpec]) -> list[TensorSpec]:
    """`save_file`'s order: the widest types first, then by name (safetensors/src/tensor.rs)."""
    return sorted(specs, key=lambda spec: (-spec.dtype.rank, spec.name))


def header_bytes(specs: Sequence[TensorSpec]) -> bytes:
    """The first bytes of a file that holds `specs` in this order: length and JSON, padded to 8.

    Identical to what `safetensors.torch.save_file` writes with `METADATA`.
    """
    entries: dict[str, object] = {"__metadata__": METADATA}
    at = 0
    for spec in specs:
        entries[spec.name] = {
            "dtype": spec.dtype.code,
            "shape": list(spec.shape),
            "data_offsets": [at, at + spec.nbytes],
        }
        at += spec.nbytes
    text = json.dumps(entries, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
