"""Stored rotary tables are compared with the config before they go, and settle a missing theta."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from wmtp_assets.checkpoints.errors import LayoutError
from wmtp_assets.checkpoints.planning import Plan, plan_conversion
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets_tests.checkpoints.models import (
    LLAMA_CONFIG,
    MTP_PARAMS,
    llama_tensors,
    mtp_tensors,
    rotary_frequencies,
    save,
)

LAYER = "model.layers.{}.self_attn.rotary_emb.inv_freq"
WITHOUT_THETA = {key: value for key, value in MTP_PARAMS.items() if key != "rope_theta"}


def turns(theta: float, rows: int = 128) -> Tensor:
    """Meta's freqs_cis: complex64 (rows, 8), for heads of 16."""
    angles = torch.outer(torch.arange(float(rows)), rotary_frequencies(theta))
    return torch.polar(torch.ones_like(angles), angles)


def mtp_plan(folder: Path, table: dict[str, Tensor], params: dict[str, Any]) -> Plan:
    tensors = {**mtp_tensors(), **table}
    if "freqs_cis" not in table:
        del tensors["freqs_cis"]
    return plan_conversion(
        open_source([save(tensors, folder / "a.pth")]), "meta-mtp", params, "float16"
    )


def llama_plan(folder: Path, table: Tensor, config: dict[str, Any], layers: range) -> Plan:
    tensors = {**llama_tensors(), **{LAYER.format(layer): table for layer in layers}}
    return plan_conversion(
        open_source([save(tensors, folder / "a.bin")]), "llama", config, "float16"
    )


# As they are found: complex, as pairs, of another precision, widened again, one row only.
FORMS: dict[str, Any] = {
    "complex": lambda theta: {"freqs_cis": turns(theta)},
    "pairs": lambda theta: {"freqs_cis": torch.view_as_real(turns(theta))},
    "pairs in float16": lambda theta: {"freqs_cis": torch.view_as_real(turns(theta)).half()},
    "pairs in bfloat16": lambda theta: {"freqs_cis": torch.view_as_real(turns(theta)).bfloat16()},
    "long": lambda theta: {"freqs_cis": turns(theta, 9000)},
    "transposed": lambda theta: {"freqs_cis": turns(theta).t().contiguous().t()},
    "frequencies": lambda theta: {"rope.freqs": rotary_frequencies(theta)},
    "in bfloat16": lambda theta: {"rope.freqs": rotary_frequencies(theta).bfloat16()},
    "in float16": lambda theta: {"rope.freqs": rotary_frequencies(theta).half()},
    "in float64": lambda theta: {"rope.freqs": rotary_frequencies(theta).double()},
    "widened": lambda theta: {"rope.freqs": rotary_frequencies(theta).bfloat16().float()},
    "widened from float16": lambda theta: {"rope.freqs": rotary_frequencies(theta).half().float()},
}


@pytest.mark.parametrize("theta", [10000.0, 500000.0, 1000000.0, 100.0])
@pytest.mark.parametrize("form", FORMS)
def test_a_table_of_the_configs_theta_is_left_out(form: str, theta: float, tmp_path: Path) -> None:
    table = FORMS[form](theta)
    plan = mtp_plan(tmp_path, table, {**MTP_PARAMS, "rope_theta": theta})
    assert [entry.name for entry in plan.dropped] == list(table)
    assert plan.settled == {}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("stored", "stated"), [(500000.0, 10000.0), (10000.0, 11000.0)])
def test_a_table_of_another_theta_is_refused_and_named_with_its_theta(
    form: str, stored: float, stated: float, tmp_path: Path
) -> None:
    table = FORMS[form](stored)
    with pytest.raises(LayoutError, match="contradicts the config") as caught:
        mtp_plan(tmp_path, table, {**MTP_PARAMS, "rope_theta": stated})
    assert caught.value.expected == f"a table of rope_theta {stated:g}"
    assert caught.value.found == f"a table of rope_theta {stored:g}"
    assert caught.value.hint
    # What it says to do:
    mtp_plan(tmp_path, table, {**MTP_PARAMS, "rope_theta": stored})


@pytest.mark.parametrize("theta", [10000.0, 12345.0, 500000.0])
@pytest.mark.parametrize("form", ["complex", "pairs", "frequencies", "in float64", "long"])
def test_a_theta_that_params_json_does_not_state_is_read_from_the_table(
    form: str, theta: float, tmp_path: Path
) -> None:
    for params in (WITHOUT_THETA, {**MTP_PARAMS, "rope_theta": None}):
        plan = mtp_plan(tmp_path, FORMS[form](theta), params)
        assert plan.settled == {"rope_theta": theta}
        assert "derived from the stored table" in plan.evidence["rope_theta"]


@pytest.mark.parametrize("form", ["in bfloat16", "in float16", "widened", "pairs in float16"])
def test_a_rounded_table_gives_the_roundest_theta(form: str, tmp_path: Path) -> None:
    assert mtp_plan(tmp_path, FORMS[form](500000.0), WITHOUT_THETA).settled == {
        "rope_theta": 500000.0
    }


def test_without_theta_and_table_the_conversion_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"states no rope_theta.*add rope_theta to params\.json"):
        mtp_plan(tmp_path, {}, WITHOUT_THETA)
    assert mtp_plan(tmp_path, {}, MTP_PARAMS).settled == {}


def test_a_vocabulary_that_params_json_leaves_open_is_the_embeddings(tmp_path: Path) -> None:
    plan = mtp_plan(tmp_path, {}, {**MTP_PARAMS, "vocab_size": -1})
    assert plan.settled == {"vocab_size": 96}
    assert "tok_embeddings.weight" in plan.evidence["vocab_size"]


BAD: dict[str, Tensor] = {
    "zeros": torch.zeros(8),
    "ones": torch.ones(8),
    "nan": torch.full((8,), float("nan")),
    "infinite": torch.full((8,), float("inf")),
    "negative": -rotary_frequencies(10000.0),
    "one value": torch.cat((rotary_frequencies(10000.0)[:-1], torch.tensor([0.5]))),
    "halved": rotary_frequencies(10000.0) / 2,
    "reversed": rotary_frequencies(10000.0).flip(0),
}


@pytest.mark.parametrize("table", BAD)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_table_that_is_of_no_theta_is_refused(
    table: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    stored = {"rope.freqs": BAD[table].to(dtype)}
    with pytest.raises(LayoutError, match="a table that no rope_theta alone gives"):
        mtp_plan(tmp_path, stored, MTP_PARAMS)
    with pytest.raises(LayoutError, match="which no rope_theta alone gives"):
        mtp_plan(tmp_path, stored, WITHOUT_THETA)


def test_one_wrong_row_of_a_table_is_enough(tmp_path: Path) -> None:
    for row in (0, 1, 64, 127):
        table = turns(10000.0)
        table[row, 3] = table[row, 3].conj() * 1j
        with pytest.raises(LayoutError, match="contradicts the config"):
            mtp_plan(tmp_path, {"freqs_cis": table}, MTP_PARAMS)


@pytest.mark.parametrize("row", [0, 4095, 4096, 8191, 8192, 10_000, 12_287, 12_288, 12_299])
def test_one_wrong_row_anywhere_in_a_long_table_is_enough(row: int, tmp_path: Path) -> None:
    table = turns(10000.0, 12_300)
    mtp_plan(tmp_path, {"freqs_cis": table}, MTP_PARAMS)
    table[row, 3] = table[row, 3].conj() * 1j
    with pytest.raises(LayoutError, match="contradicts the config"):
        mtp_plan(tmp_path, {"freqs_cis": table}, MTP_PARAMS)


@pytest.mark.parametrize("shape", [(4,), (16,), (8, 1), (128, 7), (128, 8, 3), (), (0, 8, 2)])
def test_a_table_of_other_heads_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="does not belong to this model"):
        mtp_plan(tmp_path, {"freqs_cis": torch.zeros(shape)}, MTP_PARAMS)


def test_an_integer_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="does not belong to this model"):
        mtp_plan(tmp_path, {"freqs_cis": torch.zeros(8, dtype=torch.int64)}, MTP_PARAMS)


@pytest.mark.parametrize("layer", [0, 4])
def test_every_layers_table_is_compared(layer: int, tmp_path: Path) -> None:
    wrong = rotary_frequencies(1000000.0)
    with pytest.raises(LayoutError, match=f"layers.{layer}.*of rope_theta 1e\\+06") as caught:
        llama_plan(tmp_path, wrong, LLAMA_CONFIG, range(layer, layer + 1))
    assert caught.value.expected == "a table of rope_theta 10000"
    for said in (
        {"rope_theta": 1000000.0},
        {"rope_parameters": {"rope_theta": 1000000.0, "rope_type": "default"}},
        {"rope_scaling": {"type": "linear", "factor": 4.0}, "rope_theta": 1000000.0},
    ):
        llama_plan(tmp_path, wrong, {**LLAMA_CONFIG, **said}, range(5))


def test_a_scaled_table_fits_a_scaled_config_only(tmp_path: Path) -> None:
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    for scaling in (
        {"type": "linear", "factor": 4.0},
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
        {
            "rope_type": "yarn",
            "factor": 16.0,
            "original_max_position_embeddings": 512,
            "beta_fast": 16.0,
            "beta_slow": 2.0,
        },
    ):
        config = {**LLAMA_CONFIG, "rope_scaling": scaling, "rope_theta": 10000.0}
        made = LlamaRotaryEmbedding(LlamaConfig.from_dict(config)).inv_freq
        table = torch.tensor(made.tolist())  # a buffer is saved as a class of its own
        assert not torch.allclose(table, rotary_frequencies(10000.0))
        llama_plan(tmp_path, table, config, range(5))
        with pytest.raises(LayoutError, match="contradicts the config"):
            llama_plan(tmp_path, table, LLAMA_CONFIG, range(5))
