"""What a cast may lose: the dtype that was stated, values that become zero; none of it silently."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from wmtp_assets.checkpoints.convert import convert, plan_conversion
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import ConversionError
from wmtp_assets.checkpoints.planning import Plan, require_stated
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets_tests.checkpoints.models import MTP_PARAMS, Tensors, mtp_tensors, save

WEIGHT = "extra_heads.1.feed_forward.w1.weight"
SMALLEST = 2.0**-24  # float16's least value other than zero
NORM = "norm.weight"


def cast_to(tensors: Tensors, dtype: torch.dtype) -> Tensors:
    """The weights at `dtype`; the rotary table stays complex."""
    return {n: t if t.is_complex() else t.to(dtype) for n, t in tensors.items()}


def plan_of(folder: Path, tensors: Tensors, dtype: str = "float16") -> Plan:
    source = open_source([save(tensors, folder / "a.pth")])
    return plan_conversion(source, "meta-mtp", MTP_PARAMS, dtype)


@pytest.mark.parametrize("value", [1e-8, -1e-8, 2.0**-25, -(2.0**-25)])
def test_a_tensor_whose_values_all_become_zero_is_refused_and_nothing_is_written(
    tmp_path: Path, value: float
) -> None:
    tensors = mtp_tensors()
    tensors[WEIGHT] = torch.full_like(tensors[WEIGHT], value)
    with pytest.raises(ConversionError) as raised:
        convert(plan_of(tmp_path, tensors), tmp_path / "model.safetensors")
    assert WEIGHT in str(raised.value)
    assert f"{tensors[WEIGHT].numel():,} values" in str(raised.value)
    assert not (tmp_path / "model.safetensors").exists()
    # What the message says to do works.
    certificate = convert(plan_of(tmp_path, tensors, "bfloat16"), tmp_path / "model.safetensors")
    assert sum(tensor.zeroed for tensor in certificate.tensors) == 0


def test_zeros_of_the_source_are_not_a_loss(tmp_path: Path) -> None:
    tensors = mtp_tensors()
    tensors[WEIGHT] = torch.zeros_like(tensors[WEIGHT])
    certificate = convert(plan_of(tmp_path, tensors), tmp_path / "model.safetensors")
    assert {tensor.name: tensor.zeroed for tensor in certificate.tensors}[WEIGHT] == 0


@pytest.mark.parametrize("before", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("after", ["float16", "float32"])
def test_every_value_that_becomes_zero_is_counted(
    tmp_path: Path, before: torch.dtype, after: str
) -> None:
    generator = torch.Generator().manual_seed(3)
    tensors = cast_to(mtp_tensors(), before)
    values = torch.randn(tensors[WEIGHT].shape, generator=generator, dtype=torch.float64)
    exponents = torch.randint(-60, 3, values.shape, generator=generator)
    values = torch.ldexp(values, exponents)
    values.view(-1)[::7] = 0.0
    values.view(-1)[1::7] = -0.0
    tensors[WEIGHT] = values.to(before)
    plan = plan_of(tmp_path, tensors, after)
    certificate = convert(plan, tmp_path / "model.safetensors")
    made = load_file(tmp_path / "model.safetensors")
    for tensor in certificate.tensors:
        given, stored = tensors[tensor.name], made[tensor.name]
        assert tensor.zeroed == int(((given != 0) & (stored == 0)).sum()), tensor.name
    lost = {tensor.name: tensor.zeroed for tensor in certificate.tensors}[WEIGHT]
    assert (lost > 0) is (after == "float16")
    assert json.dumps(certificate.to_json())


# The dtype that the catalog states.


def mixed() -> Tensors:
    """A float32 norm in a file of bfloat16."""
    tensors = cast_to(mtp_tensors(), torch.bfloat16)
    tensors[NORM] = tensors[NORM].float()
    return tensors


def test_another_dtype_than_stated_is_refused_with_the_tensors_and_both_dtypes(
    tmp_path: Path,
) -> None:
    plan = plan_of(tmp_path, mtp_tensors())
    require_stated(plan, "float32", {})
    with pytest.raises(ConversionError) as raised:
        require_stated(plan, "bfloat16", {})
    text = str(raised.value)
    assert "extra_heads.0.attention.wk.weight is float32, not bfloat16" in text
    assert "more" in text
    assert str(tmp_path / "a.pth") in text


def test_a_single_tensor_of_another_dtype_is_refused_unless_it_is_named(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, mixed())
    with pytest.raises(ConversionError, match=r"norm\.weight is float32, not bfloat16"):
        require_stated(plan, "bfloat16", {})
    require_stated(plan, "bfloat16", {NORM: "float32"})
    require_stated(plan, "bfloat16", {"norm.*": "float32"})
    for stated, problem in (
        ({NORM: "float16"}, "norm.weight is float32, not float16"),
        ({NORM: "float32", "nothing.*": "float32"}, "no tensor is named nothing"),
        ({"*": "float32"}, "is bfloat16, not float32"),
        ({NORM: "float32", "norm*": "float16"}, "not float16 and float32"),
    ):
        with pytest.raises(ConversionError, match=problem.replace("*", r"\*")):
            require_stated(plan, "bfloat16", stated)


def test_what_the_layout_leaves_out_may_be_of_any_dtype(tmp_path: Path) -> None:
    tensors = mtp_tensors()
    assert any(tensor.is_complex() for tensor in tensors.values()), "freqs_cis"
    require_stated(plan_of(tmp_path, tensors), DType.FLOAT32, {})
