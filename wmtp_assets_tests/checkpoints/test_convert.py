"""The conversion: save_file's bytes, whatever the values; refused where values would be lost."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import threading
from pathlib import Path

import pytest
import torch
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from wmtp_assets.checkpoints import convert as conversion
from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.convert import convert, convert_uncertified, plan_conversion
from wmtp_assets.checkpoints.dtypes import DType
from wmtp_assets.checkpoints.errors import CheckpointError, ConversionError, LayoutError
from wmtp_assets.checkpoints.planning import Plan, PlannedTensor, sort_for_file
from wmtp_assets.checkpoints.safetensors_file import TensorSpec
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets.storage import disk
from wmtp_assets_tests.checkpoints.models import (
    LLAMA_CONFIG,
    MTP_PARAMS,
    Tensors,
    llama_tensors,
    mtp_tensors,
    random_tensors,
    raw,
    reward_tensors,
    save,
    save_shards,
)


def our_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith(("read-", "write", "hash-"))]


# float8 is cast encoding by encoding in test_wrapped.py.
FLOATS = [dtype for dtype in DType if dtype.is_float and dtype.itemsize > 1]


def plan_of(path: Path, dtype: DType, waive: frozenset[str] = frozenset()) -> Plan:
    """A plan that keeps every tensor of an archive under its name."""
    planned = [
        PlannedTensor(TensorSpec(tensor.name, dtype, tensor.shape), tensor)
        for tensor in open_source([path]).tensors.values()
    ]
    return Plan("any", dtype, sort_for_file(planned), waive_overflow=waive)


def saved_by_the_library(tensors: Tensors, path: Path) -> bytes:
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()},
        path,
        metadata={"format": "pt"},
    )
    return path.read_bytes()


def test_an_mtp_checkpoint_becomes_what_save_file_writes(tmp_path: Path) -> None:
    tensors = mtp_tensors()
    source = open_source([save(tensors, tmp_path / "consolidated.pth")])
    target = tmp_path / "model.safetensors"
    certificate = convert(plan_conversion(source, "meta-mtp", MTP_PARAMS, "float16"), target)
    kept = {name: tensor.half() for name, tensor in tensors.items() if name != "freqs_cis"}
    assert target.read_bytes() == saved_by_the_library(kept, tmp_path / "reference")
    assert certificate.parameters == sum(tensor.numel() for tensor in kept.values())
    assert certificate.target_sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert [entry.name for entry in certificate.dropped] == ["freqs_cis"]


def test_shards_are_merged_into_one_file(tmp_path: Path) -> None:
    tensors = llama_tensors()
    files, index = save_shards(tensors, tmp_path)
    plan = plan_conversion(open_source(files, index), "llama", LLAMA_CONFIG, "float16")
    certificate = convert(plan, tmp_path / "model.safetensors")
    kept = {name: tensor.half() for name, tensor in tensors.items() if "inv_freq" not in name}
    assert (tmp_path / "model.safetensors").read_bytes() == saved_by_the_library(
        kept, tmp_path / "reference"
    )
    assert set(certificate.source_files) == {path.name for path in files}
    assert len(certificate.dropped) == 5


@pytest.mark.parametrize("shared", [True, False])
def test_a_reward_model_stores_each_tensor_once(tmp_path: Path, shared: bool) -> None:
    tensors = reward_tensors(shared)
    source = open_source([save(tensors, tmp_path / "pytorch_model.bin")])
    plan = plan_conversion(source, "llama-reward", LLAMA_CONFIG, "bfloat16")
    certificate = convert(plan, tmp_path / "model.safetensors")
    wanted = random_tensors("llama-reward", LLAMA_CONFIG, torch.bfloat16)
    assert (tmp_path / "model.safetensors").read_bytes() == saved_by_the_library(
        wanted, tmp_path / "reference"
    )
    twins = [entry for entry in certificate.dropped if entry.equal_to is not None]
    assert len(twins) == len(wanted) - 1
    assert {entry.shares_memory for entry in twins} == {shared}


def test_a_second_trunk_that_differs_is_refused_and_the_tensor_named(tmp_path: Path) -> None:
    tensors = reward_tensors(shared=False)
    name = "model.model.layers.3.mlp.down_proj.weight"
    tensors[name][-1, -1] += 1
    source = open_source([save(tensors, tmp_path / "pytorch_model.bin")])
    plan = plan_conversion(source, "llama-reward", LLAMA_CONFIG, "bfloat16")
    target = tmp_path / "model.safetensors"
    with pytest.raises(ConversionError, match=name):
        convert(plan, target)
    assert [path.name for path in tmp_path.iterdir()] == ["pytorch_model.bin"]


def test_a_second_trunk_of_another_type_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    tensors = reward_tensors(shared=False)
    tensors["model.model.norm.weight"] = tensors["model.model.norm.weight"].half()
    source = open_source([save(tensors, tmp_path / "pytorch_model.bin")])
    with pytest.raises(ConversionError, match=r"model\.model\.norm\.weight cannot be left out"):
        plan_conversion(source, "llama-reward", LLAMA_CONFIG, "bfloat16")


VALUES = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(width=16),
    st.sampled_from([65504.0, 65519.996, 65520.0, -65520.0, 6e-8, 2.98e-8, -0.0, 1e-45]),
)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(VALUES, min_size=1, max_size=40),
    before=st.sampled_from(FLOATS),
    after=st.sampled_from(FLOATS),
)
def test_every_cast_is_torchs_cast_and_its_numbers_are_right(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], before: DType, after: DType
) -> None:
    folder = tmp_path_factory.mktemp("cast")
    source = torch.tensor(values, dtype=torch.float64).to(getattr(torch, before))
    cast = source.to(torch.float32 if before != "float64" else torch.float64)
    wanted = cast.to(getattr(torch, after))
    plan = plan_of(save({"w": source}, folder / "a.pth"), after, frozenset({"w"}))
    if source.any() and not wanted.any():
        with pytest.raises(ConversionError, match="zero"):
            convert(plan, folder / "m.safetensors")
        return
    certificate = convert(plan, folder / "m.safetensors")
    found = load_file(folder / "m.safetensors")["w"]
    assert torch.equal(found.nan_to_num(nan=7.0), wanted.nan_to_num(nan=7.0))
    assert torch.equal(found.isnan(), source.isnan())
    (facts,) = certificate.tensors
    overflow = wanted.isinf() & source.isfinite()
    assert facts.nan == int(source.isnan().sum())
    assert facts.inf == int(source.isinf().sum())
    assert facts.overflow == int(overflow.sum())
    errors = (wanted.double() - source.double()).abs()[source.isfinite() & ~overflow]
    assert facts.max_cast_error == pytest.approx(errors.max().item() if len(errors) else 0.0)
    assert facts.digest == blake3(raw(found)).hexdigest()
    assert facts.source_digest == blake3(raw(source)).hexdigest()


def test_a_value_beyond_float16_blocks_and_names_its_tensor(tmp_path: Path) -> None:
    tensors = mtp_tensors()
    name = "layers.2.feed_forward.w2.weight"
    tensors[name][3, 4] = 65520.0
    source = open_source([save(tensors, tmp_path / "a.pth")])
    target = tmp_path / "model.safetensors"
    target.write_bytes(b"the old version")
    with pytest.raises(ConversionError, match=name):
        convert(plan_conversion(source, "meta-mtp", MTP_PARAMS, "float16"), target)
    assert target.read_bytes() == b"the old version"
    assert {path.name for path in tmp_path.iterdir()} == {"a.pth", "model.safetensors"}

    waived = plan_conversion(source, "meta-mtp", MTP_PARAMS, "float16", waive_overflow=[name])
    facts = {tensor.name: tensor for tensor in convert(waived, target).tensors}
    assert facts[name].overflow == 1
    assert sum(tensor.overflow for tensor in facts.values()) == 1


def test_a_waiver_for_a_tensor_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    source = open_source([save(mtp_tensors(), tmp_path / "a.pth")])
    with pytest.raises(LayoutError, match="waive_overflow"):
        plan_conversion(source, "meta-mtp", MTP_PARAMS, "float16", waive_overflow=["w9"])


def test_nan_and_infinities_are_counted_and_kept(tmp_path: Path) -> None:
    tensors = {"w": torch.tensor([1.0, float("nan"), float("inf"), -float("inf"), 2.0])}
    certificate = convert(
        plan_of(save(tensors, tmp_path / "a.pth"), DType.FLOAT16), tmp_path / "m.safetensors"
    )
    (facts,) = certificate.tensors
    assert (facts.nan, facts.inf, facts.overflow) == (1, 2, 0)
    assert raw(load_file(tmp_path / "m.safetensors")["w"]) == bytes.fromhex("003c007e007c00fc0040")


@pytest.mark.parametrize("layout_and_dtype", [("meta-mtp", torch.int32), ("llama", torch.bool)])
def test_weights_that_are_no_floats_are_refused_by_name(
    tmp_path: Path, layout_and_dtype: tuple[str, torch.dtype]
) -> None:
    layout, dtype = layout_and_dtype
    config = MTP_PARAMS if layout == "meta-mtp" else LLAMA_CONFIG
    tensors = random_tensors(layout, config)
    name = next(iter(tensors))
    tensors[name] = tensors[name].to(dtype)
    source = open_source([save(tensors, tmp_path / "a.pth")])
    with pytest.raises(ConversionError, match=f"{name} cannot be cast.*What to do: Name the"):
        plan_conversion(source, layout, config, "float16")


def test_a_tensor_of_another_shape_is_named(tmp_path: Path) -> None:
    tensors = mtp_tensors() | {"norm.weight": torch.ones(63)}
    source = open_source([save(tensors, tmp_path / "a.pth")])
    with pytest.raises(LayoutError, match=r"norm\.weight has another shape.*What to do: Check"):
        plan_conversion(source, "meta-mtp", MTP_PARAMS, "float16")


def test_transposed_and_shared_tensors_are_written_as_they_read(tmp_path: Path) -> None:
    whole = torch.randn(500, 300)
    tensors = {"transposed": whole.t(), "whole": whole, "twin": whole, "part": whole[10:20, 5:]}
    plan = plan_of(save(tensors, tmp_path / "a.pth"), DType.BFLOAT16)
    convert(plan, tmp_path / "m.safetensors")
    wanted = {name: tensor.to(torch.bfloat16) for name, tensor in tensors.items()}
    assert (tmp_path / "m.safetensors").read_bytes() == saved_by_the_library(
        {name: tensor.contiguous().clone() for name, tensor in wanted.items()}, tmp_path / "ref"
    )


@pytest.mark.parametrize("block", [4096, 8192, 1 << 20])
def test_the_bytes_do_not_depend_on_the_size_of_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    source = open_source([save(mtp_tensors(), tmp_path / "a.pth")])
    plan = plan_conversion(source, "meta-mtp", MTP_PARAMS, "float16")
    wanted = convert(plan, tmp_path / "whole.safetensors")
    monkeypatch.setattr(conversion, "BLOCK", block)
    found = convert(plan, tmp_path / "whole.safetensors")
    assert found == wanted


def test_without_a_certificate_the_file_is_the_same(tmp_path: Path) -> None:
    source = open_source([save(reward_tensors(shared=False), tmp_path / "a.bin")])
    plan = plan_conversion(source, "llama-reward", LLAMA_CONFIG, "bfloat16")
    certificate = convert(plan, tmp_path / "m.safetensors")
    assert convert_uncertified(plan, tmp_path / "n.safetensors") == certificate.target_sha256
    assert (tmp_path / "n.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_the_files_mode_follows_the_umask(tmp_path: Path, umask: int) -> None:
    plan = plan_of(save({"w": torch.ones(3)}, tmp_path / "a.pth"), DType.FLOAT16)
    before = os.umask(umask)
    try:
        convert(plan, tmp_path / "m.safetensors")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "m.safetensors").stat().st_mode) == 0o666 & ~umask


def test_a_source_that_became_shorter_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    path = save(mtp_tensors(), tmp_path / "a.pth")
    plan = plan_conversion(open_source([path]), "meta-mtp", MTP_PARAMS, "float16")
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(CheckpointError, match="ends within"):
        convert(plan, tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == [path]
    assert our_threads() == []


def test_a_failing_disk_leaves_the_old_file_and_ends_every_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source([save(mtp_tensors(), tmp_path / "a.pth")])
    plan = plan_conversion(source, "meta-mtp", MTP_PARAMS, "float16")
    target = tmp_path / "m.safetensors"
    convert(plan, target)
    old = target.read_bytes()
    monkeypatch.setattr(conversion, "BLOCK", 4096)
    written = 0

    def write(descriptor: int, data: memoryview) -> int:
        nonlocal written
        written += len(data)
        if written > 100_000:
            raise OSError(28, "No space left on device")
        return os.write(descriptor, data)

    monkeypatch.setattr(disk, "write", write)
    with pytest.raises(Exception, match="No space left"):
        convert(plan, target)
    assert target.read_bytes() == old
    assert {path.name for path in tmp_path.iterdir()} == {"a.pth", "m.safetensors"}
    assert our_threads() == []


def test_a_file_system_without_direct_writes_gets_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source([save(mtp_tensors(), tmp_path / "a.pth")])
    plan = plan_conversion(source, "meta-mtp", MTP_PARAMS, "float16")
    wanted = convert(plan, tmp_path / "direct.safetensors").target_sha256
    real = os.write
    refused = []

    def write(descriptor: int, data: memoryview) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            refused.append(len(data))
            raise OSError(22, "Invalid argument")
        return real(descriptor, data)

    monkeypatch.setattr(disk, "write", write)
    assert convert(plan, tmp_path / "buffered.safetensors").target_sha256 == wanted
    assert (tmp_path / "buffered.safetensors").read_bytes() == (
        tmp_path / "direct.safetensors"
    ).read_bytes()
    assert len(refused) == 1


@pytest.fixture
def large(tmp_path: Path) -> tuple[Plan, bytes]:
    """Tensors that are read by whole pages, at odd places, and what save_file makes of them."""
    whole = torch.randn(300_001)
    tensors = {"whole": whole, "part": whole[3:200_000], "odd": torch.randn(77_777), "b": whole[:9]}
    plan = plan_of(save(tensors, tmp_path / "a.pth"), DType.FLOAT16)
    halves = {name: tensor.half() for name, tensor in tensors.items()}
    return plan, saved_by_the_library(halves, tmp_path / "reference")


@pytest.mark.parametrize("block", [64 << 10, 260 << 10, 4 << 20])
def test_tensors_at_any_place_are_read_by_whole_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: tuple[Plan, bytes], block: int
) -> None:
    monkeypatch.setattr(conversion, "BLOCK", block)
    plan, wanted = large
    convert(plan, tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").read_bytes() == wanted


def test_a_file_system_without_direct_reads_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: tuple[Plan, bytes]
) -> None:
    plan, wanted = large
    real = os.preadv
    refused = []

    def preadv(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            refused.append(offset)
            raise OSError(22, "Invalid argument")
        return real(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    convert(plan, tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").read_bytes() == wanted
    assert refused


def test_short_reads_are_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: tuple[Plan, bytes]
) -> None:
    plan, wanted = large
    real = os.preadv

    def preadv(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        return real(descriptor, [buffers[0][: 3 * 4096]], offset)

    monkeypatch.setattr(os, "preadv", preadv)
    convert(plan, tmp_path / "m.safetensors")
    assert (tmp_path / "m.safetensors").read_bytes() == wanted


def test_progress_ends_at_the_files_size(tmp_path: Path) -> None:
    source = open_source([save(mtp_tensors(), tmp_path / "a.pth")])
    plan = plan_conversion(source, "meta-mtp", MTP_PARAMS, "float16")
    calls: list[tuple[int, int]] = []
    convert(plan, tmp_path / "m.safetensors", progress=lambda done, of: calls.append((done, of)))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1] == (plan.target_size, plan.target_size)
    assert plan.target_size == (tmp_path / "m.safetensors").stat().st_size


def test_torch_keeps_its_number_of_threads(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    plan = plan_of(save({"w": torch.ones(3)}, tmp_path / "a.pth"), DType.FLOAT16)
    convert(plan, tmp_path / "m.safetensors")
    assert torch.get_num_threads() == before


def test_a_certificate_survives_json(tmp_path: Path) -> None:
    source = open_source([save(reward_tensors(shared=True), tmp_path / "a.bin")])
    plan = plan_conversion(source, "llama-reward", LLAMA_CONFIG, "bfloat16")
    certificate = convert(plan, tmp_path / "m.safetensors")
    text = json.dumps(certificate.to_json(), allow_nan=False)
    assert Certificate.from_json(json.loads(text)) == certificate
    with pytest.raises(CheckpointError, match="certificate cannot be read"):
        Certificate.from_json({"format": 2, "layout": "llama"})
    with pytest.raises(CheckpointError, match="certificate cannot be read"):
        Certificate.from_json(certificate.to_json() | {"format": 3})
