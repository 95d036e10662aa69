"""Sharded sets and single files open as one source; what the index says is what is there."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from wmtp_assets.checkpoints.source import open_source
from wmtp_assets.checkpoints.tensors import read_tensor
from wmtp_assets_tests.checkpoints.models import llama_tensors, raw, save, save_shards


def test_a_sharded_set_opens_as_one_source(tmp_path: Path) -> None:
    tensors = llama_tensors()
    files, index = save_shards(tensors, tmp_path)
    source = open_source(files, index)
    assert source.tensors.keys() == tensors.keys()
    assert source.size == sum(path.stat().st_size for path in files)
    for name, tensor in tensors.items():
        assert read_tensor(source.tensors[name]).tobytes() == raw(tensor)


def test_a_total_size_that_counts_shared_memory_once_is_right_too(tmp_path: Path) -> None:
    shared = torch.ones(4)
    path = save({"a": shared, "b": shared}, tmp_path / "a.bin")
    index = tmp_path / "index.json"
    for total in (16, 32):
        places = {"a": "a.bin", "b": "a.bin"}
        index.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": places}))
        source = open_source([path], index)
        assert (len(source.tensors), source.warnings) == (2, ())


def test_safetensors_files_open_as_a_source_too(tmp_path: Path) -> None:
    save_file({"w": torch.arange(4.0)}, tmp_path / "a.safetensors")
    source = open_source([tmp_path / "a.safetensors"])
    assert read_tensor(source.tensors["w"]).tobytes() == raw(torch.arange(4.0))
