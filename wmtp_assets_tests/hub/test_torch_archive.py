"""The archives that the sample and the benchmarks write are those that torch writes and reads."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pytest
import torch

from wmtp_assets.sample.torch_archive import (
    ALIGNMENT,
    Buffer,
    Call,
    Storage,
    Tensor,
    Value,
    contiguous_strides,
    write_archive,
)


def _written(path: Path, value: Value) -> Path:
    with path.open("wb") as target:
        write_archive(target, value)
    return path


def _storage(tensor: torch.Tensor) -> Storage:
    data = tensor.contiguous().view(torch.uint8).numpy().tobytes()
    return Storage(str(tensor.dtype).removeprefix("torch."), tensor.numel(), lambda: [data])


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize(
    "dtype",
    ["float64", "float32", "float16", "bfloat16", "complex64", "int64", "int32", "uint8", "bool"],
)
def test_torch_reads_every_dtype_back(tmp_path: Path, dtype: str, mmap: bool) -> None:
    values = torch.tensor([0, 1, 2, 100, 3, 1]).to(getattr(torch, dtype))
    path = _written(tmp_path / "a.pt", {"t": Tensor(_storage(values), (2, 3))})
    loaded = torch.load(path, weights_only=True, mmap=mmap)
    assert torch.equal(loaded["t"], values.reshape(2, 3))
    assert loaded["t"].dtype == values.dtype


def test_a_shared_storage_is_stored_once_and_shared_when_read(tmp_path: Path) -> None:
    storage = _storage(torch.arange(12, dtype=torch.float32))
    state = {
        "whole": Tensor(storage, (3, 4)),
        "middle, transposed": Tensor(storage, (2, 2), offset=5, strides=(1, 4)),
    }
    path = _written(tmp_path / "a.pt", state)
    loaded = torch.load(path, weights_only=True)
    assert loaded["middle, transposed"].tolist() == [[5.0, 9.0], [6.0, 10.0]]
    loaded["whole"][1, 1] = -1.0
    assert loaded["middle, transposed"][0, 0] == -1.0
    records = zipfile.ZipFile(path).namelist()
    assert [name for name in records if "/data/" in name] == ["archive/data/0"]


def test_plain_values_are_read_back_as_they_were(tmp_path: Path) -> None:
    value: dict[str, Value] = {
        "integers": [0, 255, 256, 65535, 65536, -1, 2**31, -(2**40), 2**70],
        "others": (None, True, False, 0.1, "naïve\n", {"nested": []}),
    }
    loaded = torch.load(_written(tmp_path / "a.pt", value), weights_only=True)
    assert dict(loaded) == value


def test_a_scalar_and_an_empty_tensor_keep_their_shapes(tmp_path: Path) -> None:
    empty = Storage("float32", 0, lambda: [])
    state = {
        "scalar": Tensor(_storage(torch.tensor([2.0])), ()),
        "empty": Tensor(empty, (0, 3)),
    }
    loaded = torch.load(_written(tmp_path / "a.pt", state), weights_only=True)
    assert loaded["scalar"].shape == ()
    assert loaded["empty"].shape == (0, 3)


def test_records_are_those_of_torch_save_and_lie_where_it_aligns_them(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(5.0), "b": torch.ones(3, dtype=torch.bfloat16)}
    ours = _written(
        tmp_path / "archive.pt",
        {name: Tensor(_storage(tensor), tuple(tensor.shape)) for name, tensor in tensors.items()},
    )
    (tmp_path / "torch").mkdir()
    theirs = tmp_path / "torch/archive.pt"
    torch.save(tensors, theirs)

    newer = {"archive/.format_version", "archive/.storage_alignment"}  # torch 2.7 and later
    listed = [info for info in zipfile.ZipFile(theirs).infolist() if info.filename not in newer]
    written = zipfile.ZipFile(ours).infolist()
    assert [info.filename for info in written] == [info.filename for info in listed]
    for mine, real in zip(written, listed, strict=True):
        assert (mine.flag_bits, mine.compress_type, mine.date_time) == (
            real.flag_bits,
            real.compress_type,
            real.date_time,
        )
        if "/data/" in mine.filename:
            assert (mine.file_size, mine.CRC) == (real.file_size, real.CRC)

    data = ours.read_bytes()
    for info in written:
        head = data[info.header_offset : info.header_offset + 30]
        names = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
        assert (info.header_offset + 30 + names) % ALIGNMENT == 0


def test_every_crc_is_right(tmp_path: Path) -> None:
    path = _written(tmp_path / "a.pt", {"t": Tensor(_storage(torch.arange(9.0)), (9,))})
    assert zipfile.ZipFile(path).testzip() is None


def test_a_storage_may_come_in_pieces_of_any_kind(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<f4")

    def pieces() -> Iterator[Buffer]:
        yield values[:1].tobytes()
        yield bytearray(values[1:2].tobytes())
        yield values[2:].data

    path = _written(tmp_path / "a.pt", {"t": Tensor(Storage("float32", 6, pieces), (6,))})
    assert torch.load(path, weights_only=True)["t"].tolist() == values.tolist()


@pytest.mark.parametrize("count", [3, 5])
def test_a_storage_that_is_not_as_long_as_declared_is_refused(count: int) -> None:
    storage = Storage("float32", 4, lambda: [bytes(4 * count)])
    with pytest.raises(ValueError, match="declared with 16 bytes"):
        write_archive(io.BytesIO(), {"t": Tensor(storage, (4,))})


def test_the_calls_of_a_hostile_file_are_refused_by_weights_only(tmp_path: Path) -> None:
    path = _written(tmp_path / "a.pt", {"t": Call("builtins", "exec", ("raise SystemExit",))})
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize(
    ("shape", "strides"), [((), ()), ((7,), (1,)), ((2, 3, 4), (12, 4, 1)), ((0, 3), (3, 1))]
)
def test_contiguous_strides_count_elements(
    shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    assert contiguous_strides(shape) == strides


def test_the_same_entries_give_the_same_bytes_in_every_process_and_torch_stays_out() -> None:
    program = """
import hashlib, io, sys
from wmtp_assets.sample.torch_archive import Storage, Tensor, write_archive
target = io.BytesIO()
storage = Storage("float32", 2, lambda: [bytes(8)])
write_archive(target, {"a": Tensor(storage, (2,)), "b": Tensor(storage, (1,)), "n": 7})
assert "torch" not in sys.modules
print(hashlib.sha256(target.getvalue()).hexdigest())
"""
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


class _Holes:
    """Writes to a file in which blocks of zeros become holes, so that 4 GiB take no disk."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, data: Buffer) -> None:
        if len(data) == _BLOCK:
            self._file.seek(_BLOCK, os.SEEK_CUR)
        else:
            self._file.write(data)


_BLOCK = 1 << 24


@pytest.mark.slow
def test_storages_and_offsets_beyond_4_gib_are_written_as_zip64(tmp_path: Path) -> None:
    """Reads two tensors out of an archive with a record of more than 4 GiB before the second."""
    blocks = 257
    zeros = bytes(_BLOCK)

    def large() -> Iterator[Buffer]:
        for _ in range(blocks):
            yield zeros
        yield b"\x01\x02\x03"

    size = blocks * _BLOCK + 3
    path = tmp_path / "large.pt"
    state = {
        "large": Tensor(Storage("uint8", size, large), (size,)),
        "after": Tensor(_storage(torch.arange(3.0)), (3,)),
    }
    with path.open("wb") as file:
        write_archive(cast(BinaryIO, _Holes(file)), state)

    loaded = torch.load(path, weights_only=True, mmap=True)
    assert loaded["large"].shape == (size,)
    assert loaded["large"][-4:].tolist() == [0, 1, 2, 3]
    assert loaded["after"].tolist() == [0.0, 1.0, 2.0]
    info = zipfile.ZipFile(path).getinfo("archive/data/1")
    assert info.header_offset > 1 << 32
    assert zipfile.ZipFile(path).read(info) == torch.arange(3.0).numpy().tobytes()
