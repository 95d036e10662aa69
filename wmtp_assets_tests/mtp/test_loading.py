"""Loading from a folder of the storage: exactly the file's tensors, or one clear error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from wmtp_assets.mtp import loading
from wmtp_assets.mtp.errors import LoadError
from wmtp_assets.mtp.loading import from_pretrained
from wmtp_assets_tests.mtp.networks import (
    GROUPED,
    MICRO,
    PARAMS,
    network,
    random_tokens,
    write_directory,
)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_directory(network(PARAMS), PARAMS, tmp_path / "model")


def weights_of(directory: Path) -> Path:
    return directory / "safetensors" / "model.safetensors"


def rewrite(directory: Path, tensors: dict[str, Tensor]) -> None:
    save_file(tensors, weights_of(directory))


@pytest.mark.parametrize("params", [PARAMS, MICRO, GROUPED], ids=["trunk", "micro", "grouped"])
def test_a_loaded_model_gives_the_logits_of_the_one_that_was_written(
    params: dict[str, object], tmp_path: Path
) -> None:
    written = network(params)
    loaded = from_pretrained(write_directory(written, params, tmp_path))
    tokens = random_tokens(written)
    assert torch.equal(loaded(tokens), written(tokens))


@pytest.mark.parametrize("mmap", [None, True, False])
def test_no_weight_is_left_as_it_was_initialised(directory: Path, mmap: bool | None) -> None:
    loaded = from_pretrained(str(directory), mmap=mmap).state_dict()
    stored = load_file(weights_of(directory))
    assert loaded.keys() == stored.keys()
    assert all(torch.equal(loaded[name], stored[name]) for name in stored)


def test_the_dtype_is_the_stored_one_unless_another_is_asked_for(tmp_path: Path) -> None:
    directory = write_directory(network(PARAMS).half(), PARAMS, tmp_path)
    assert {p.dtype for p in from_pretrained(directory).parameters()} == {torch.float16}
    cast = from_pretrained(directory, dtype=torch.bfloat16)
    assert {p.dtype for p in cast.parameters()} == {torch.bfloat16}


def mapped(path: Path) -> bool:
    return str(path) in Path("/proc/self/maps").read_text(encoding="utf-8")


def test_weights_are_mapped_where_that_is_asked_for_or_the_disk_is_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Network:
        is_local = False

    directory = write_directory(network(PARAMS), PARAMS, tmp_path)
    for mmap, wanted in ((True, True), (False, False), (None, True)):
        model = from_pretrained(directory, mmap=mmap)
        assert mapped(weights_of(directory)) is wanted, mmap
        del model
    monkeypatch.setattr(loading, "file_system_of", lambda path: Network)
    kept = from_pretrained(directory)
    assert not mapped(weights_of(directory))
    assert torch.equal(kept.output.weight, from_pretrained(directory, mmap=True).output.weight)


@pytest.mark.parametrize("mmap", [True, False])
def test_every_type_and_shape_is_read_alike(mmap: bool, tmp_path: Path) -> None:
    made: dict[str, Tensor] = {
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "half": torch.randn(3, 5).half(),
        "brain": torch.randn(7).bfloat16(),
        "eight": torch.randn(6).to(torch.float8_e4m3fn),
        "whole": torch.arange(5),
        "truth": torch.tensor([True, False]),
    }
    save_file(made, tmp_path / "a.safetensors")
    found = loading.read_tensors(tmp_path / "a.safetensors", mmap=mmap)
    assert found.keys() == made.keys()
    for name, tensor in made.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert torch.equal(found[name].float(), tensor.float())


def test_a_loaded_model_can_be_trained(directory: Path) -> None:
    model = from_pretrained(directory)
    model(random_tokens(model)).logsumexp(-1).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_ffn_width_is_the_tensors_own(tmp_path: Path) -> None:
    wide = {**PARAMS, "multiple_of": 192}  # 192 wide; the file's params.json would imply 176
    directory = write_directory(network(wide), PARAMS, tmp_path)
    assert from_pretrained(directory).args.ffn_dim == 192


def test_the_error_names_everything_that_does_not_fit(directory: Path) -> None:
    tensors = load_file(weights_of(directory))
    del tensors["extra_heads.2.attention.wq.weight"]
    tensors["freqs_cis"] = torch.zeros(4)
    tensors["output.weight"] = torch.zeros(3, 64)
    rewrite(directory, tensors)
    with pytest.raises(LoadError) as caught:
        from_pretrained(directory)
    message = str(caught.value)
    assert "1 missing: extra_heads.2.attention.wq.weight" in message
    assert "1 unexpected: freqs_cis" in message
    assert "output.weight (3, 64) instead of (512, 64)" in message
    assert str(weights_of(directory)) in message


def test_the_error_stays_short_when_nothing_fits(directory: Path) -> None:
    rewrite(directory, {f"model.layers.{i}.weight": torch.zeros(1) for i in range(200)})
    with pytest.raises(LoadError, match="200 unexpected") as caught:
        from_pretrained(directory)
    assert len(str(caught.value)) < 1500


def test_params_of_another_model_are_noticed(directory: Path) -> None:
    (directory / "configs" / "params.json").write_text(json.dumps({**PARAMS, "n_layers": 9}))
    with pytest.raises(LoadError, match=r"9 missing: layers\.5\."):
        from_pretrained(directory)


@pytest.mark.parametrize("missing", ["safetensors/model.safetensors", "configs/params.json"])
def test_a_missing_file_is_named(directory: Path, missing: str) -> None:
    (directory / missing).unlink()
    with pytest.raises(LoadError, match=missing):
        from_pretrained(directory)


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("broken", ["safetensors/model.safetensors", "configs/params.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"\xff" * 100])
def test_a_broken_file_is_named(directory: Path, broken: str, content: bytes, mmap: bool) -> None:
    (directory / broken).write_bytes(content)
    with pytest.raises(LoadError, match=broken):
        from_pretrained(directory, mmap=mmap)


def test_a_model_of_transformers_is_refused_with_what_loads_it(directory: Path) -> None:
    (directory / "configs/params.json").rename(directory / "configs/config.json")
    (directory / "hf").mkdir()
    with pytest.raises(LoadError, match=r"no params\.json but a config\.json") as refusal:
        from_pretrained(directory)
    assert f"{directory}/hf" in str(refusal.value)
