"""What the attacks are built of: archives, pickles, shards and safetensors files by hand.

Every other module here whose name begins with a kind (`pickle_`, `zip_`, `index_`, `header_`,
`value_`) is one attack: its first line says what it tries, and `build(folder)` writes it.
`test_attacks.py` runs them all.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

EXECUTED = "executed"
VALUES = np.arange(6, dtype="<f4")


@dataclass(frozen=True)
class Attack:
    """A hostile checkpoint, and what must become of it.

    Either opening it is refused with a message that holds `refused`, or (None) it opens and its
    tensors' bytes are those of `reads`, with a warning that holds each of `warns`.
    """

    files: Sequence[Path]
    refused: str | None
    index: Path | None = None
    reads: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    warns: Sequence[str] = ()


# Pickles


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def numbers(values: Iterable[int]) -> bytes:
    return b"(" + b"".join(number(value) for value in values) + b"t"


def tensor(
    key: str = "0",
    elements: int = 6,
    shape: Sequence[int] = (6,),
    strides: Sequence[int] = (1,),
    offset: int = 0,
    storage: str = "FloatStorage",
) -> bytes:
    persistent = text("storage") + f"ctorch\n{storage}\n".encode() + text(key) + text("cpu")
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + persistent
        + number(elements)
        + b"tQ"
        + number(offset)
        + numbers(shape)
        + numbers(strides)
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )


def state(items: Mapping[str, bytes]) -> bytes:
    body = b"".join(text(name) + value for name, value in items.items())
    return b"\x80\x02}(" + body + b"u."


# Archives


def archive(
    folder: Path,
    pickle: bytes,
    storages: Mapping[str, bytes] | None = None,
    byteorder: bytes = b"little",
    compression: int = zipfile.ZIP_STORED,
    name: str = "weights.pth",
) -> Path:
    """A zip archive as torch writes it, around any pickle; one storage "0" unless told."""
    path = folder / name
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("archive/data.pkl", pickle)
        file.writestr("archive/byteorder", byteorder)
        for key, data in ({"0": VALUES.tobytes()} if storages is None else storages).items():
            file.writestr(f"archive/data/{key}", data)
        file.writestr("archive/version", b"3\n")
    return path


def refused_pickle(folder: Path, pickle: bytes, refused: str) -> Attack:
    return Attack([archive(folder, pickle)], refused)


def touch(folder: Path) -> str:
    """A shell command that leaves a trace, should anything ever run it."""
    return f"touch '{folder / EXECUTED}'"


# Sharded sets


def two_shards(folder: Path) -> list[Path]:
    """`a` in the first file, `b` in the second; 24 bytes each."""
    return [
        archive(folder, state({name: tensor()}), name=f"pytorch_model-0000{i}-of-00002.bin")
        for i, name in enumerate(("a", "b"), start=1)
    ]


def index_attack(folder: Path, index: object, refused: str) -> Attack:
    files = two_shards(folder)
    path = folder / "pytorch_model.bin.index.json"
    path.write_text(index if isinstance(index, str) else json.dumps(index))
    return Attack(files, refused, path)


def index_lie(folder: Path, index: object, *warns: str) -> Attack:
    """An index that differs from what the two shards hold: they are read, with these warnings."""
    built = index_attack(folder, index, "")
    return Attack(built.files, None, built.index, {"a": VALUES, "b": VALUES}, warns)


def places(**extra: str) -> dict[str, str]:
    return {
        "a": "pytorch_model-00001-of-00002.bin",
        "b": "pytorch_model-00002-of-00002.bin",
    } | extra


# safetensors


def header_attack(
    folder: Path, header: object, data: bytes, refused: str, length: int | None = None
) -> Attack:
    """A safetensors file around any header text (or object), of any stated length."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "model.safetensors"
    stated = len(raw) if length is None else length
    path.write_bytes(stated.to_bytes(8, "little") + raw + data)
    return Attack([path], refused)


def entry(begin: int, end: int, shape: Sequence[object] = (6,), dtype: str = "F32") -> object:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
