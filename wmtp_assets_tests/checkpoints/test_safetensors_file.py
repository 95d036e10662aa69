"""Our header is save_file's header, and our reader agrees with the library on what is valid."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import SafetensorsError
from wmtp_assets.checkpoints.safetensors_file import (
    TensorSpec,
    header_bytes,
    in_file_order,
    read_header,
)
from wmtp_assets.checkpoints.tensors import read_tensor
from wmtp_assets_tests.checkpoints.models import raw

NAMES = st.text("abzAZ019._-", min_size=1, max_size=12)
SPECS = st.dictionaries(
    NAMES,
    st.tuples(st.sampled_from(list(DType)), st.lists(st.integers(0, 4), max_size=3)),
    min_size=1,
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(specs=SPECS)
def test_the_header_is_byte_for_byte_that_of_save_file(
    tmp_path_factory: pytest.TempPathFactory,
    specs: dict[str, tuple[DType, list[int]]],
) -> None:
    path = tmp_path_factory.mktemp("file") / "a.safetensors"
    save_file(
        {name: torch.zeros(shape, dtype=getattr(torch, d)) for name, (d, shape) in specs.items()},
        path,
        metadata={"format": "pt"},
    )
    ours = in_file_order([TensorSpec(n, d, tuple(shape)) for n, (d, shape) in specs.items()])
    header = header_bytes(ours)
    data = path.read_bytes()
    assert data[: len(header)] == header
    found = read_header(path)
    assert {n: (i.dtype, list(i.shape)) for n, i in found.tensors.items()} == specs
    assert found.data_start == len(header)
    assert found.size == len(data)


def test_every_tensor_is_found_where_the_library_finds_it(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    tensors = {
        "b": torch.randn(3, 5),
        "a": torch.randn(4).to(torch.bfloat16),
        "c": torch.tensor([True, False]),
    }
    save_file(tensors, path, metadata={"format": "pt"})
    header = read_header(path)
    assert header.parameters == 21
    assert header.dtypes == {DType.FLOAT32: 1, DType.BFLOAT16: 1, DType.BOOL: 1}
    for name, tensor in load_file(path).items():
        assert read_tensor(header.source_tensor(name)).tobytes() == raw(tensor)


@pytest.mark.parametrize("at", range(0, 80, 3))
def test_a_changed_header_byte_is_refused_or_seen(tmp_path: Path, at: int) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"weight": torch.arange(4.0), "bias": torch.ones(2)}, path)
    before = read_header(path)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    after = None
    with contextlib.suppress(SafetensorsError):
        after = read_header(path)
    assert after is None or dict(after.tensors) != dict(before.tensors)


def test_metadata_that_is_null_is_none_at_all(tmp_path: Path) -> None:
    """As the library reads it."""
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    header = json.dumps({"__metadata__": None, "a": entry}).encode()
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    assert load_file(path)["a"].tolist() == [0, 0]
    assert list(read_header(path).tensors) == ["a"]


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "none.safetensors")
