"""The sharded view holds the same tensors, is read by others, and is proven, not assumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.sharded import INDEX, check_sharded, write_sharded
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets_tests.checkpoints.models import LLAMA_CONFIG, Tensors, random_tensors


@pytest.fixture
def tensors() -> Tensors:
    return random_tensors("llama", LLAMA_CONFIG, torch.float16)


@pytest.fixture
def model(tmp_path: Path, tensors: Tensors) -> Path:
    save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def shards(model: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "sharded"
    folder.mkdir()
    write_sharded(model, folder, 100_000)
    return folder


def test_every_tensor_is_in_one_shard_of_bounded_size(shards: Path, tensors: Tensors) -> None:
    files = sorted(shards.glob("*.safetensors"))
    assert len(files) > 3
    assert files[0].name == f"model-00001-of-{len(files):05d}.safetensors"
    for path in files:
        header = read_header(path)
        assert header.size - header.data_start <= 100_000
    found = {name: tensor for path in files for name, tensor in load_file(path).items()}
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_the_index_is_one_that_our_own_reader_and_transformers_accept(
    shards: Path, tensors: Tensors
) -> None:
    source = open_source(sorted(shards.glob("*.safetensors")), shards / INDEX)
    assert source.tensors.keys() == tensors.keys()
    metadata = json.loads((shards / INDEX).read_text())["metadata"]
    count = sum(tensor.numel() for tensor in tensors.values())
    assert metadata == {"total_parameters": count, "total_size": 2 * count}
    (shards / "config.json").write_text(json.dumps(LLAMA_CONFIG | {"dtype": "float16"}))
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(shards).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


def test_a_tensor_larger_than_a_shard_gets_one_of_its_own(model: Path, tmp_path: Path) -> None:
    view = write_sharded(model, tmp_path, 1)
    assert len(view.files) == len(read_header(model).tensors)


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_shard_is_filled_to_its_limit_and_not_beyond(
    model: Path, tensors: Tensors, tmp_path: Path, more: int
) -> None:
    sizes = [info.end - info.begin for info in read_header(model).tensors.values()]
    for limit in (sum(sizes), max(sizes)):
        folder = tmp_path / str(limit)
        folder.mkdir()
        view = write_sharded(model, folder, limit + more)
        if limit == sum(sizes):
            assert len(view.files) == (2 if more < 0 else 1)
        found: list[int] = []
        for name in sorted(view.files):
            held = [info.end - info.begin for info in read_header(folder / name).tensors.values()]
            assert sum(held) <= limit + more or len(held) == 1
            found += held
        assert sorted(found) == sorted(sizes)
        assert check_sharded(model, folder, shard_bytes=limit + more).passed


def test_the_view_is_proven_equal(model: Path, shards: Path) -> None:
    assert check_sharded(model, shards).passed


@pytest.mark.parametrize("damage", ["flip", "lose", "index", "rename"])
def test_a_damaged_view_is_found(model: Path, shards: Path, damage: str) -> None:
    first, second, *_ = sorted(shards.glob("*.safetensors"))
    expected = first.name
    if damage == "flip":
        data = bytearray(first.read_bytes())
        data[-1] ^= 1
        first.write_bytes(data)
        expected = f"{list(read_header(first).tensors)[-1]} differs"
    elif damage == "lose":
        first.unlink()
    elif damage == "index":
        index = json.loads((shards / INDEX).read_text())
        expected = next(iter(index["weight_map"]))
        del index["weight_map"][expected]
        (shards / INDEX).write_text(json.dumps(index))
    else:
        moved = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(moved)
        expected = "names another file than holds"
    finding = check_sharded(model, shards)
    assert not finding.passed
    assert expected in str(finding.found)
