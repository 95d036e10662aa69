"""Micro models: every value is the base's, from the layers and heads that `taken` says."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from wmtp_assets.checkpoints.cutting import MicroShape
from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.layouts import expected_shapes
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.slicing import plan_slice, slice_model
from wmtp_assets_tests.checkpoints.models import LLAMA_CONFIG, MTP_PARAMS, random_tensors


@pytest.fixture
def mtp_base(tmp_path: Path) -> Path:
    save_file(random_tensors("meta-mtp", MTP_PARAMS, torch.float16), tmp_path / "mtp.safetensors")
    return tmp_path / "mtp.safetensors"


@pytest.fixture
def llama_base(tmp_path: Path) -> Path:
    save_file(random_tensors("llama", LLAMA_CONFIG, torch.float16), tmp_path / "ref.safetensors")
    return tmp_path / "ref.safetensors"


def test_a_micro_mtp_keeps_the_next_token_head_and_every_extra_head(
    mtp_base: Path, tmp_path: Path
) -> None:
    target = tmp_path / "micro.safetensors"
    sliced = slice_model(
        "meta-mtp", mtp_base, MTP_PARAMS, MicroShape(layers=3, dim=32, ffn=96), target
    )
    base, micro = load_file(mtp_base), load_file(target)
    # Four `layers` in the base, of which the last is the next-token head, and two extra heads.
    assert sliced.taken["layers"] == [3]
    assert sliced.taken["extra_heads"] == [0, 1]
    assert {name: tuple(tensor.shape) for name, tensor in micro.items()} == expected_shapes(
        "meta-mtp", sliced.config
    )
    for ours, theirs in {"layers.0": "layers.3", "extra_heads.1": "extra_heads.1"}.items():
        for part, kept in {
            "attention.wq.weight": (slice(32), slice(32)),
            "attention.wo.weight": (slice(32), slice(32)),
            "feed_forward.w2.weight": (slice(32), slice(96)),
            "feed_forward.w3.weight": (slice(96), slice(32)),
            "ffn_norm.weight": (slice(32),),
        }.items():
            assert torch.equal(micro[f"{ours}.{part}"], base[f"{theirs}.{part}"][kept])
    assert torch.equal(micro["tok_embeddings.weight"], base["tok_embeddings.weight"][:, :32])


def test_more_layers_are_spread_over_the_trunk_and_end_with_the_head(mtp_base: Path) -> None:
    shape = MicroShape(layers=5, dim=32, ffn=96)
    assert plan_slice("meta-mtp", mtp_base, MTP_PARAMS, shape).taken["layers"] == [0, 2, 3]


def test_heads_stay_whole_and_key_value_heads_stay_with_their_group(
    llama_base: Path, tmp_path: Path
) -> None:
    target = tmp_path / "micro.safetensors"
    sliced = slice_model("llama", llama_base, LLAMA_CONFIG, MicroShape(3, dim=32, ffn=64), target)
    base, micro = load_file(llama_base), load_file(target)
    assert sliced.config["num_attention_heads"] == 2
    assert sliced.config["num_key_value_heads"] == 1
    assert sliced.taken["layers"] == [0, 2, 4]
    assert sliced.taken["attention_heads"] == [0, 1]
    head = 16
    query = "model.layers.{}.self_attn.q_proj.weight"
    assert torch.equal(micro[query.format(1)], base[query.format(2)][: 2 * head, :32])
    key = "model.layers.{}.self_attn.k_proj.weight"
    assert torch.equal(micro[key.format(2)], base[key.format(4)][:head, :32])


def test_the_vocabulary_can_be_cut_too(llama_base: Path, tmp_path: Path) -> None:
    shape = MicroShape(layers=2, dim=32, ffn=64, vocab=40)
    sliced = slice_model("llama", llama_base, LLAMA_CONFIG, shape, tmp_path / "m.safetensors")
    header = read_header(tmp_path / "m.safetensors")
    assert header.tensors["lm_head.weight"].shape == (40, 32)
    assert (sliced.config["vocab_size"], sliced.taken["vocabulary"]) == (40, [0, 40])


def test_the_certificate_of_a_slice_is_of_the_slice(mtp_base: Path, tmp_path: Path) -> None:
    shape = MicroShape(layers=3, dim=32, ffn=96)
    sliced = slice_model("meta-mtp", mtp_base, MTP_PARAMS, shape, tmp_path / "m.safetensors")
    for tensor in sliced.certificate.tensors:
        assert tensor.digest == tensor.source_digest
        assert tensor.shape == expected_shapes("meta-mtp", sliced.config)[tensor.name]


def test_the_published_micro_model_has_46_million_parameters() -> None:
    params = MTP_PARAMS | {
        "dim": 512,
        "n_layers": 4,
        "n_heads": 4,
        "n_kv_heads": 4,
        "n_future_tokens": 4,
        "vocab_size": 32000,
        "multiple_of": 256,
    }
    shapes = expected_shapes("meta-mtp", params)
    assert sum(map(math.prod, shapes.values())) == 46_404_096


@pytest.mark.parametrize(
    ("micro", "problem"),
    [
        (MicroShape(layers=2, dim=32, ffn=96), "too few layers"),
        (MicroShape(layers=3, dim=40, ffn=112), "whole attention heads"),
        (MicroShape(layers=3, dim=128, ffn=352), "whole attention heads"),
        (MicroShape(layers=3, dim=32, ffn=97), "cannot be expressed in params.json"),
        (MicroShape(layers=9, dim=32, ffn=96), "more layers than its base"),
        (MicroShape(layers=3, dim=32, ffn=96, vocab=97), "vocabulary cannot be cut"),
    ],
)
def test_a_shape_that_cannot_be_cut_is_refused(
    mtp_base: Path, micro: MicroShape, problem: str
) -> None:
    with pytest.raises(LayoutError, match=problem):
        plan_slice("meta-mtp", mtp_base, MTP_PARAMS, micro)


def test_a_llama_of_one_key_value_group_a_head_cannot_lose_half_a_group(llama_base: Path) -> None:
    with pytest.raises(LayoutError, match="multiple of 32"):
        plan_slice("llama", llama_base, LLAMA_CONFIG, MicroShape(2, dim=16, ffn=64))


READ = """
import json, sys
from pathlib import Path
from wmtp_assets.checkpoints.cutting import MicroShape
from wmtp_assets.checkpoints.slicing import plan_slice, slice_model

def read() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])

folder, config = Path(sys.argv[1]), json.loads(sys.argv[2])
import pydantic, wmtp_assets.checkpoints.convert  # what is imported is read as well
before = read()
micro = MicroShape(2, 32, 64)
sliced = slice_model("llama", folder / "ref.safetensors", config, micro, folder / "m")
print(read() - before, (folder / "m").stat().st_size)
"""


@pytest.mark.skipif(not os.access("/proc/self/io", os.R_OK), reason="counts reads by /proc")
def test_slicing_reads_only_what_it_keeps(llama_base: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ, str(llama_base.parent), json.dumps(LLAMA_CONFIG)],
        capture_output=True,
        text=True,
        check=True,
    )
    read, kept = map(int, done.stdout.split())
    header = read_header(llama_base).data_start
    assert kept < llama_base.stat().st_size / 8
    assert read < kept + 2 * header + 8192
