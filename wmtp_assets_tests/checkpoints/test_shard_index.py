"""Sharded sets whose index is odd, as public reports tell: what the shards hold is what counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from wmtp_assets.checkpoints.certificate import Certificate
from wmtp_assets.checkpoints.convert import convert, plan_conversion
from wmtp_assets.checkpoints.errors import CheckpointError, IndexJsonError, LayoutError
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets.checkpoints.tensors import read_tensor
from wmtp_assets.checkpoints.verification import verify_certificate
from wmtp_assets_tests.checkpoints.models import (
    LLAMA_CONFIG,
    Tensors,
    llama_tensors,
    random_tensors,
    raw,
    save_shards,
)

Index = dict[str, object]
ONE, TWO = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def shards(folder: Path, tensors: Tensors, ending: str) -> tuple[list[Path], Path, Index]:
    """Two shards, safetensors or archives, with the index that describes them exactly."""
    if ending == "bin":
        files, path = save_shards(tensors, folder)
        return files, path, json.loads(path.read_text())
    names = list(tensors)
    places = {name: (ONE, TWO)[2 * at // len(names)] for at, name in enumerate(names)}
    for file in (ONE, TWO):
        part = {name: tensors[name] for name in names if places[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    total = sum(tensor.nbytes for tensor in tensors.values())
    index: Index = {"metadata": {"total_size": total}, "weight_map": places}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index))
    return [folder / ONE, folder / TWO], path, index


def _total(value: object) -> Callable[[Index, int], Index]:
    return lambda index, total: {**index, "metadata": {"total_size": value}}


def _places(change: Callable[[dict[str, str]], object]) -> Callable[[Index, int], Index]:
    def changed(index: Index, total: int) -> Index:
        places = index["weight_map"]
        assert isinstance(places, dict)
        change(places)
        return index

    return changed


HEAD = "lm_head.weight"
NORM = "model.norm.weight"
CASES: dict[str, tuple[Callable[[Index, int], object], tuple[str, ...]]] = {
    "plain": (lambda index, total: index, ()),
    "no total": (lambda index, total: {**index, "metadata": {"quantization_level": None}}, ()),
    "empty metadata": (lambda index, total: {**index, "metadata": {}}, ()),
    "no metadata": (lambda index, total: {"weight_map": index["weight_map"]}, ()),
    "null metadata": (lambda index, total: {**index, "metadata": None}, ()),
    "null total": (_total(None), ()),
    "metadata is a list": (
        lambda index, total: {**index, "metadata": [1]},
        ("metadata is a list, not an object",),
    ),
    "float total": (
        lambda index, total: {**index, "metadata": {"total_size": float(total)}},
        (),
    ),
    "stale total": (
        lambda index, total: {**index, "metadata": {"total_size": 2 * total}},
        ("total_size of {double:,}, the tensors hold {total:,} bytes",),
    ),
    "total of files": (
        lambda index, total: {**index, "metadata": {"total_size": total}},
        ("total_size of {files:,} (the size of the files), the tensors hold {total:,} bytes",),
    ),
    "zero total": (_total(0), ("total_size of 0, the tensors hold {total:,} bytes",)),
    "total is true": (_total(True), ("total_size of true, the tensors hold {total:,}",)),
    "total is a fraction": (_total(0.5), ("total_size of 0.5, the tensors hold {total:,}",)),
    "total is a list": (_total([1]), ("total_size of a list, the tensors hold {total:,}",)),
    "huge total": (_total(10**300), ("total_size of a huge number, the tensors hold",)),
    "more keys": (
        lambda index, total: {**index, "generator": "x", "metadata": {"format": "pt"}},
        (),
    ),
    "listed but absent": (
        _places(lambda places: places.update({"model.embed_positions.weight": places[NORM]})),
        ("lists 54 tensors, the files hold 53: no file holds model.embed_positions.weight",),
    ),
    "absent shard": (
        _places(lambda places: places.update({"model.a": "model-00003-of-00003.safetensors"})),
        ("names 'model-00003-of-00003.safetensors' for model.a",),
    ),
    "unlisted": (
        _places(lambda places: places.pop(NORM)),
        ("lists 52 tensors, the files hold 53: it does not list model.norm.weight",),
    ),
    "empty weight_map": (
        _places(lambda places: places.clear()),
        ("lists 0 tensors, the files hold 53: it does not list",),
    ),
    "wrong shard": (
        _places(lambda places: places.update({NORM: next(iter(places.values()))})),
        ("another file than holds model.norm.weight (index: ",),
    ),
    "dot slash": (
        _places(lambda places: places.update({k: f"./{v}" for k, v in places.items()})),
        ("writes the file's name with a folder for",),
    ),
}


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
@pytest.mark.parametrize("case", CASES)
def test_an_odd_index_converts_and_every_difference_is_a_warning(
    tmp_path: Path, case: str, ending: str
) -> None:
    change, expected = CASES[case]
    tensors = llama_tensors()
    files, path, index = shards(tmp_path, tensors, ending)
    of_files = sum(file.stat().st_size for file in files)
    total = sum(tensor.nbytes for tensor in tensors.values())
    changed = change(index, of_files if case == "total of files" else total)
    path.write_text(json.dumps(changed))
    source = open_source(files, path)
    assert source.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read_tensor(source.tensors[name]).tobytes() == raw(tensor)
    assert len(source.warnings) == len(expected), source.warnings
    for warning, part in zip(source.warnings, expected, strict=True):
        assert part.format(total=total, double=2 * total, files=of_files) in warning
    certificate = convert(
        plan_conversion(source, "llama", LLAMA_CONFIG, "float32"), tmp_path / "out.safetensors"
    )
    stored = load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(stored[name], tensors[name]) for name in stored)
    # In the certificate as it is stored, and in the details of the check that reads it.
    certificate = Certificate.from_json(json.loads(json.dumps(certificate.to_json())))
    assert certificate.warnings == source.warnings
    (finding,) = verify_certificate(certificate, tmp_path / "out.safetensors")
    assert finding.passed
    assert finding.details.get("warnings", []) == list(source.warnings)


def test_a_certificate_without_warnings_is_written_as_before(tmp_path: Path) -> None:
    files, path, _ = shards(tmp_path, llama_tensors(), "bin")
    plan = plan_conversion(open_source(files, path), "llama", LLAMA_CONFIG, "float32")
    certificate = convert(plan, tmp_path / "out.safetensors")
    assert "warnings" not in certificate.to_json()
    assert "warnings" in replace(certificate, warnings=("odd",)).to_json()


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
def test_a_set_without_an_index_is_what_its_files_hold(tmp_path: Path, ending: str) -> None:
    tensors = random_tensors("llama", LLAMA_CONFIG)
    files, _, _ = shards(tmp_path, tensors, ending)
    source = open_source(files)
    assert source.warnings == ()
    assert convert(
        plan_conversion(source, "llama", LLAMA_CONFIG, "float32"), tmp_path / "out.safetensors"
    ).parameters == sum(tensor.numel() for tensor in tensors.values())


@pytest.mark.parametrize("indexed", [True, False])
def test_a_required_tensor_in_an_absent_shard_is_refused_by_name(
    tmp_path: Path, indexed: bool
) -> None:
    files, path, _ = shards(tmp_path, random_tensors("llama", LLAMA_CONFIG), "safetensors")
    source = open_source(files[:1], path if indexed else None)
    with pytest.raises(LayoutError, match=r"missing lm_head\.weight") as caught:
        plan_conversion(source, "llama", LLAMA_CONFIG, "float32")
    assert (TWO in str(caught.value)) is indexed


def test_a_tied_head_that_is_listed_but_absent_converts(tmp_path: Path) -> None:
    config = {**LLAMA_CONFIG, "tie_word_embeddings": True}
    tensors = random_tensors("llama", config)
    files, path, index = shards(tmp_path, tensors, "safetensors")
    places = index["weight_map"]
    assert isinstance(places, dict)
    path.write_text(json.dumps({**index, "weight_map": {**places, HEAD: TWO}}))
    source = open_source(files, path)
    assert "no file holds lm_head.weight" in source.warnings[0]
    plan = plan_conversion(source, "llama", config, "float32")
    assert {tensor.spec.name for tensor in plan.tensors} == tensors.keys()


def test_a_byte_order_mark_is_a_warning(tmp_path: Path) -> None:
    files, path, _ = shards(tmp_path, llama_tensors(), "safetensors")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert open_source(files, path).warnings == ("the index begins with a byte order mark",)


@pytest.mark.parametrize("names", [("Model-1", "model-1"), ("model.safetensors-1", "x y (2)")])
def test_file_names_of_any_form_and_case_are_told_apart(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    tensors = llama_tensors()
    files, path, _ = shards(tmp_path, tensors, "safetensors")
    text = path.read_text()
    renamed = []
    for file, name in zip(files, names, strict=True):
        text = text.replace(file.name, f"{name}.safetensors")
        renamed.append(file.rename(tmp_path / f"{name}.safetensors"))
    path.write_text(text)
    assert open_source(renamed, path).warnings == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "[]",
        "null",
        "{}",
        '{"metadata": {}}',
        '{"weight_map": []}',
        '{"weight_map": {"a": null}}',
        '{"weight_map": {"a": ["model-00001-of-00002.safetensors"]}}',
        '{"metadata": {"total_size": NaN}, "weight_map": {}}',
        '{"metadata": {"total_size": 1e999}, "weight_map": {}}',
        '{"metadata": {"total_size": ' + "9" * 5000 + '}, "weight_map": {}}',
        '{"weight_map": {"a": "x", "a": "y"}}',
        "<!DOCTYPE html><html><body>404: Not Found</body></html>",
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "[" * 100_000,
        '{"a":' * 300 + "1" + "}" * 300,
        '{"weight_map": {"a": "\\ud800"}}',
    ],
    ids=lambda text: str(text)[:24],
)
def test_what_is_no_index_is_refused_and_the_remedy_works(tmp_path: Path, text: str) -> None:
    tensors = llama_tensors()
    files, path, _ = shards(tmp_path, tensors, "safetensors")
    path.write_text(text)
    with pytest.raises(IndexJsonError) as caught:
        open_source(files, path)
    message = str(caught.value)
    assert str(path) in message
    assert "Expected: " in message
    assert "leave `index` out of the catalog" in message
    assert message.isprintable()
    assert open_source(files).tensors.keys() == tensors.keys()


@pytest.mark.parametrize(
    "place",
    [
        "../model-00001-of-00002.safetensors",
        "a/../../model-00001-of-00002.safetensors",
        "/etc/passwd",
        "//host/share",
        "C:\\model.safetensors",
        "..\\model.safetensors",
        "..",
        ".",
        "",
        "model-00001-of-00002.safetensors/",
        "model\x00.safetensors",
        "model\n.safetensors",
        "\u202emodel.safetensors",
        "x" * 2000,
    ],
)
def test_no_file_name_leaves_the_folder(tmp_path: Path, place: str) -> None:
    files, path, index = shards(tmp_path, llama_tensors(), "safetensors")
    places = index["weight_map"]
    assert isinstance(places, dict)
    path.write_text(json.dumps({**index, "weight_map": {**places, NORM: place}}))
    with pytest.raises(IndexJsonError, match="outside of its folder") as caught:
        open_source(files, path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("ending", ["safetensors", "bin"])
@pytest.mark.parametrize("indexed", [True, False])
def test_equal_tensors_of_one_name_are_one(tmp_path: Path, ending: str, indexed: bool) -> None:
    tensors = llama_tensors()
    files, path, _ = shards(tmp_path, tensors, ending)
    again = {NORM: tensors[NORM], "model.layers.0.mlp.down_proj.weight": torch.ones(2)}
    again["model.layers.0.mlp.down_proj.weight"] = tensors["model.layers.0.mlp.down_proj.weight"]
    third = tmp_path / f"again.{ending}"
    if ending == "bin":
        # The same values in another memory layout.
        again[NORM] = torch.stack([tensors[NORM], tensors[NORM]], dim=1)[:, 0]
        torch.save(again, third)
    else:
        save_file(again, third)
    source = open_source([third, *files], path if indexed else None)
    doubles = [warning for warning in source.warnings if "is in 2 files" in warning]
    assert len(doubles) == 2
    assert "again" in doubles[0]
    used = source.tensors[NORM].file
    assert used == (files[1] if indexed else third)
    assert read_tensor(source.tensors[NORM]).tobytes() == raw(tensors[NORM])


@pytest.mark.parametrize("other", ["values", "dtype", "shape"])
def test_two_different_tensors_of_one_name_are_refused(tmp_path: Path, other: str) -> None:
    tensors = llama_tensors()
    files, path, _ = shards(tmp_path, tensors, "safetensors")
    norm = tensors[NORM].clone()
    if other == "values":
        norm[-1] += 1
    elif other == "dtype":
        norm = norm.to(torch.float16)
    else:
        norm = norm.reshape(2, -1)
    save_file({NORM: norm}, tmp_path / "again.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.norm\.weight is in two files") as caught:
        open_source([*files, tmp_path / "again.safetensors"], path)
    assert "again.safetensors" in str(caught.value)
