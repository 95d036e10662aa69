"""Each check passes on a good checkpoint, and fails by name when its input is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.checks import ExpectedCheckpoint, check_checkpoint
from wmtp_assets.checkpoints.convert import convert, plan_conversion
from wmtp_assets.checkpoints.cutting import MicroShape
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.planning import Plan
from wmtp_assets.checkpoints.slicing import plan_slice
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets.findings import Finding
from wmtp_assets.storage.digests import sha256_file, write_sha256sums
from wmtp_assets_tests.checkpoints.models import (
    LLAMA_CONFIG,
    MTP_PARAMS,
    Tensors,
    mtp_tensors,
    reward_tensors,
    save,
)

NAMES = {
    "safetensors_readable",
    "dtype_of_every_tensor",
    "names_and_shapes",
    "tensor_count",
    "parameter_count",
    "sha256sums_recomputed",
    "finite_values",
    "certificate_matches_target",
    "sampled_values_equal_source",
    "values_survive_cast",
    "certificate_describes_source",
}
WEIGHT = "extra_heads.1.feed_forward.w1.weight"


class World:
    """A converted checkpoint with all its records."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "model.safetensors"
        self.plan: Plan = plan_conversion(
            open_source([save(mtp_tensors(), folder / "a.pth")]), "meta-mtp", MTP_PARAMS, "float16"
        )
        self.certificate: Certificate = convert(self.plan, self.path)
        self.expected = ExpectedCheckpoint(
            layout="meta-mtp",
            config=MTP_PARAMS,
            dtype=DType.FLOAT16,
            parameters=self.certificate.parameters,
            tensors=len(self.certificate.tensors),
        )
        self.record()

    def record(self) -> None:
        """Make SHA256SUMS agree with whatever the file holds now."""
        sums = {self.path.name: sha256_file(self.path)}
        write_sha256sums(self.folder / "SHA256SUMS", sums)

    def change(self, change: Callable[[Tensors], object]) -> None:
        """Replace the checkpoint by one with other tensors, as somebody's script would."""
        tensors = load_file(self.path)
        change(tensors)
        save_file(tensors, self.path, metadata={"format": "pt"})
        self.record()

    def run_checks(self) -> dict[str, Finding]:
        findings = check_checkpoint(self.folder, self.expected, self.certificate, self.plan)
        return {finding.name: finding for finding in findings}

    def failed(self) -> dict[str, str]:
        return {name: str(f.found) for name, f in self.run_checks().items() if not f.passed}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_good_checkpoint_passes_every_check(world: World) -> None:
    found = world.run_checks()
    assert found.keys() == NAMES
    assert all(finding.passed for finding in found.values())
    assert all(finding.expected and finding.where for finding in found.values())


def test_float32_under_the_name_of_float16_is_found(world: World) -> None:
    world.change(lambda t: t.update({name: tensor.float() for name, tensor in t.items()}))
    failed = world.failed()
    assert "extra_heads.0.attention.wk.weight: float32" in failed["dtype_of_every_tensor"]
    assert "certificate_matches_target" in failed


def test_one_tensor_of_another_type_is_named(world: World) -> None:
    world.change(lambda t: t.update({WEIGHT: t[WEIGHT].bfloat16()}))
    assert world.failed()["dtype_of_every_tensor"] == f"{WEIGHT}: bfloat16"


def test_a_missing_and_an_extra_tensor_are_named(world: World) -> None:
    world.change(lambda t: t.update({"freqs_cis": t.pop(WEIGHT)}))
    assert world.failed()["names_and_shapes"] == (
        f"{WEIGHT} is missing; unexpected tensor freqs_cis"
    )


def test_a_transposed_tensor_is_named(world: World) -> None:
    world.change(lambda t: t.update({WEIGHT: t[WEIGHT].t().contiguous()}))
    assert world.failed()["names_and_shapes"] == f"{WEIGHT} is [64, 176], not [176, 64]"


def test_counts_are_compared_with_the_catalog(world: World) -> None:
    world.expected = replace(world.expected, parameters=1, tensors=2)
    assert world.failed() == {
        "parameter_count": str(world.certificate.parameters),
        "tensor_count": str(len(world.certificate.tensors)),
    }


@pytest.mark.parametrize(
    ("value", "words"),
    [(float("nan"), "1 NaN, 0 infinite"), (-float("inf"), "0 NaN, 1 infinite")],
)
def test_a_value_that_is_not_finite_is_counted_and_named(
    world: World, value: float, words: str
) -> None:
    def spoil(tensors: Tensors) -> None:
        tensors[WEIGHT][5, 6] = value

    world.change(spoil)
    assert world.failed()["finite_values"] == f"{WEIGHT}: {words}"


def test_fresh_weights_of_the_right_shapes_are_found(world: World) -> None:
    world.change(lambda t: t.update({n: torch.randn_like(v) for n, v in t.items()}))
    assert set(world.failed()) == {"certificate_matches_target", "sampled_values_equal_source"}


def test_two_swapped_tensors_are_found_by_their_samples(world: World) -> None:
    other = WEIGHT.replace("w1", "w3")
    world.change(lambda t: t.update({WEIGHT: t[other], other: t[WEIGHT]}))
    assert world.failed()["sampled_values_equal_source"] == f"different: {WEIGHT}; {other}"


def test_a_flipped_byte_is_found_by_the_sums(world: World) -> None:
    data = bytearray(world.path.read_bytes())
    data[-1] ^= 1
    world.path.write_bytes(data)
    assert {"sha256sums_recomputed", "certificate_matches_target"} <= set(world.failed())


def test_a_missing_sums_file_is_a_finding(world: World) -> None:
    (world.folder / "SHA256SUMS").unlink()
    assert set(world.failed()) == {"sha256sums_recomputed"}


def test_a_file_that_is_gone_or_unreadable_is_one_finding(world: World) -> None:
    world.path.write_bytes(b"short")
    assert set(world.failed()) == {"safetensors_readable"}
    world.path.unlink()
    assert set(world.failed()) == {"safetensors_readable"}


def test_a_micro_model_over_its_limit_is_found(world: World) -> None:
    world.expected = replace(world.expected, max_bytes=1000)
    assert set(world.failed()) == {"file_size_within_limit"}


def test_a_slice_is_proven_against_its_base(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "micro"
    folder.mkdir()
    sliced = plan_slice("meta-mtp", world.path, MTP_PARAMS, MicroShape(layers=3, dim=32, ffn=96))
    micro = folder / "model.safetensors"
    certificate = convert(sliced.plan, micro)
    write_sha256sums(folder / "SHA256SUMS", {micro.name: certificate.target_sha256})
    expected = ExpectedCheckpoint(
        "meta-mtp", sliced.config, DType.FLOAT16, certificate.parameters, len(certificate.tensors)
    )

    def failed() -> set[str]:
        findings = check_checkpoint(folder, expected, certificate, sliced.plan)
        return {finding.name for finding in findings if not finding.passed}

    assert failed() == set()
    # The earlier micro model had lost its extra heads, and nobody saw it.
    tensors = {n: t for n, t in load_file(micro).items() if not n.startswith("extra_heads.")}
    save_file(tensors, micro, metadata={"format": "pt"})
    assert {"names_and_shapes", "tensor_count", "parameter_count"} <= failed()


@pytest.mark.parametrize("shape", [(1,), (2,), None])
def test_a_reward_models_bias_is_proven_as_its_weight_is(
    tmp_path: Path, shape: tuple[int, ...] | None
) -> None:
    tensors = {
        name.removeprefix("transformer."): tensor
        for name, tensor in reward_tensors(shared=True).items()
        if not name.startswith("model.")
    }
    tensors["v_head.summary.weight"] = tensors.pop("v_head.weight")
    tensors["v_head.summary.bias"] = torch.tensor([0.5], dtype=torch.bfloat16)
    source = open_source([save(tensors, tmp_path / "a.bin")])
    plan = plan_conversion(source, "llama-reward", LLAMA_CONFIG, "bfloat16")
    certificate = convert(plan, tmp_path / "model.safetensors")
    stored = load_file(tmp_path / "model.safetensors")
    assert stored["v_head.bias"].tolist() == [0.5]
    if shape is None:
        del stored["v_head.bias"]
    else:
        stored["v_head.bias"] = torch.full(shape, 0.5, dtype=torch.bfloat16)
    save_file(stored, tmp_path / "model.safetensors", metadata={"format": "pt"})
    sums = {"model.safetensors": sha256_file(tmp_path / "model.safetensors")}
    write_sha256sums(tmp_path / "SHA256SUMS", sums)
    expected = ExpectedCheckpoint(
        "llama-reward", LLAMA_CONFIG, DType.BFLOAT16, certificate.parameters, len(stored)
    )
    findings = check_checkpoint(tmp_path, expected, certificate, plan)
    failed = {finding.name for finding in findings if not finding.passed}
    if shape == (1,):
        assert failed == set()
    elif shape == (2,):
        assert "names_and_shapes" in failed
    else:
        assert {"certificate_matches_target", "sampled_values_equal_source"} <= failed
