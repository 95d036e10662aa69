"""The sample's checkpoints have upstream's layout, and its traps."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import pytest
import torch

from wmtp_assets.sample.models import (
    MTP,
    MTP_PARAMS,
    SHEARED,
    STARLING,
    TRAP_ATTRIBUTE,
)


def _load(*paths: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = {}
    for path in paths:
        state |= torch.load(path, weights_only=True)
    return state


def test_mtp_holds_five_layers_three_extra_heads_and_the_angles(hub: Path) -> None:
    state = _load(hub / MTP / "7B_1T_4/consolidated.pth")
    angles = state.pop("freqs_cis")
    assert (angles.dtype, angles.shape) == (torch.complex64, (128, 8))
    turns = torch.outer(torch.arange(128.0), 10000.0 ** -(torch.arange(0, 16, 2) / 16))
    assert torch.allclose(angles, torch.polar(torch.ones_like(turns), turns), atol=1e-5)

    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    assert (len(state), sum(tensor.numel() for tensor in state.values())) == (75, 468_032)
    blocks = {".".join(name.split(".")[:2]) for name in state if name.count(".") > 2}
    assert blocks == {f"layers.{n}" for n in range(5)} | {f"extra_heads.{n}" for n in range(3)}
    assert state["layers.4.feed_forward.w2.weight"].shape == (64, 176)
    assert json.loads((hub / MTP / "7B_1T_4/params.json").read_text()) == MTP_PARAMS


def test_the_index_of_the_shards_is_true(hub: Path) -> None:
    repo = hub / SHEARED
    index = json.loads((repo / "pytorch_model.bin.index.json").read_text())
    shards = sorted(set(index["weight_map"].values()))
    assert shards == [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]
    for shard in shards:
        named = [name for name, file in index["weight_map"].items() if file == shard]
        assert sorted(_load(repo / shard)) == sorted(named)
    state = _load(*(repo / shard for shard in shards))
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in state.values())
    buffers = [name for name in state if name.endswith("rotary_emb.inv_freq")]
    assert (len(buffers), len(state)) == (6, 6 + 57)
    expected = 10000.0 ** -(torch.arange(0, 16, 2) / 16)
    assert all(torch.allclose(state[name], expected) for name in buffers)


def test_starling_holds_its_trunk_twice_in_bfloat16_and_says_float16(hub: Path) -> None:
    state = _load(hub / STARLING / "pytorch_model.bin")
    assert {tensor.dtype for tensor in state.values()} == {torch.bfloat16}
    trunk = [name for name in state if name.startswith("transformer.")]
    assert len(state) == 2 * len(trunk) + 2 == 78
    for name in trunk:
        other = state[f"model.model.{name.removeprefix('transformer.')}"]
        assert torch.equal(state[name], other)
        assert state[name].data_ptr() != other.data_ptr()
    assert state["v_head.weight"].shape == (1, 64)
    assert json.loads((hub / STARLING / "config.json").read_text())["torch_dtype"] == "float16"


def test_the_weights_are_as_small_as_initialised_ones_and_fit_float16(hub: Path) -> None:
    files = [*(hub / SHEARED).glob("*.bin"), hub / MTP / "7B_1T_4/consolidated.pth"]
    for name, tensor in _load(*files).items():
        if name.endswith("norm.weight"):
            assert (tensor - 1).abs().max() < 0.08
        elif name.endswith(".weight"):
            assert tensor.abs().max() < 0.08
            assert 0.018 < tensor.std() < 0.022
            assert abs(tensor.mean()) < 0.002
            assert tensor.half().isfinite().all()


@pytest.mark.slow
def test_the_reference_model_loads_and_its_loss_is_that_of_an_untrained_one(hub: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(hub / SHEARED)
    ids = torch.arange(300, 364).unsqueeze(0)
    with torch.no_grad():
        loss = model(input_ids=ids, labels=ids).loss
    assert 5.5 < loss < 7.0, "ln(512) is 6.24"


TRAPS = [
    "rng_state_0.pth",
    "rng_state_1.pth",
    "global_step1400/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt",
    "global_step1400/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt",
]


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_refused_by_a_careful_reader(hub: Path, trap: str) -> None:
    with pytest.raises(pickle.UnpicklingError):
        torch.load(hub / STARLING / trap, weights_only=True)
    assert not hasattr(sys, TRAP_ATTRIBUTE)


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_shows_that_a_careless_reader_ran_it(hub: Path, trap: str) -> None:
    try:
        with pytest.raises(RuntimeError, match="it must never be"):
            torch.load(hub / STARLING / trap, weights_only=False)
        assert getattr(sys, TRAP_ATTRIBUTE) == trap
    finally:
        delattr(sys, TRAP_ATTRIBUTE)
