"""A multi-token-prediction model as a LLaMA: the same values, equal logits of its first head."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.as_llama import Written, model_folder_of, write_as_llama
from wmtp_assets.checkpoints.next_token import plan_llama, unequal
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.cli import main
from wmtp_assets.errors import WmtpError
from wmtp_assets.mtp.loading import from_pretrained
from wmtp_assets.mtp.next_token import compare
from wmtp_assets.storage import locks
from wmtp_assets.storage.disk import open_existing
from wmtp_assets_tests.artifact_checks.breaking import flip
from wmtp_assets_tests.mtp.networks import (
    GROUPED,
    MICRO,
    PARAMS,
    as_llama,
    network,
    write_directory,
)

FILES = {
    "SHA256SUMS",
    "config.json",
    "made_from.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
}


def quiet(text: str) -> None:
    """Says nothing."""


@pytest.fixture(scope="module")
def written(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("llama") / "head-0"
    return write_as_llama(model_folder_of(project, "meta-llama-mtp"), folder, quiet)


def test_transformers_loads_it_with_no_further_argument_and_gives_the_first_heads_logits(
    project: Project, written: Written
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    model = from_pretrained(project.storage / "models_v2/meta-llama-mtp")
    llama = AutoModelForCausalLM.from_pretrained(written.folder)
    assert type(llama) is LlamaForCausalLM
    assert llama.dtype == torch.float16 == model.output.weight.dtype
    text = "for i in range(n):\n    print(i)"
    ids = AutoTokenizer.from_pretrained(written.folder)(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        # In the dtype that is stored, and as far as float32 can tell them apart.
        for dtype, tolerance in ((torch.float16, 2e-2), (torch.float32, 1e-5)):
            expected = model.to(dtype)(ids, return_all_heads=False)[:, :, 0].float()
            found = llama.to(dtype)(ids).logits.float()
            assert float((expected - found).abs().max()) <= tolerance * float(expected.abs().max())
    assert written.difference <= 1e-5 * written.largest
    config = json.loads((written.folder / "config.json").read_bytes())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (config["bos_token_id"], config["eos_token_id"]) == (1, 2)
    assert config["max_position_embeddings"] == 2048


def test_it_generates_what_the_first_head_gives_one_token_at_a_time(
    project: Project, written: Written
) -> None:
    from transformers import AutoModelForCausalLM

    model = from_pretrained(project.storage / "models_v2/meta-llama-mtp", dtype=torch.float32)
    llama = AutoModelForCausalLM.from_pretrained(written.folder, dtype=torch.float32)
    ids = torch.tensor([[1, 15, 20, 7]])
    generated = llama.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=None)
    with torch.no_grad():
        for _ in range(12):
            following = model(ids, return_all_heads=False)[:, -1, 0].argmax(-1, keepdim=True)
            ids = torch.cat([ids, following], dim=1)
    assert generated.tolist() == ids.tolist()


def test_the_folder_holds_what_loaders_read_and_its_sums_are_right(written: Written) -> None:
    assert {path.name for path in written.folder.iterdir()} == FILES
    lines = (written.folder / "SHA256SUMS").read_text().splitlines()
    sums = dict(reversed(line.split("  ")) for line in lines)
    assert sums == {
        name: hashlib.sha256((written.folder / name).read_bytes()).hexdigest()
        for name in FILES - {"SHA256SUMS"}
    }
    record = json.loads((written.folder / "made_from.json").read_bytes())
    assert (record["model"], record["positions"]) == ("meta-llama-mtp", 32)
    header = read_header(written.folder / "model.safetensors")
    assert (
        written.parameters
        == header.parameters
        == 468_032
        - 3 * sum(info.elements for name, info in header.tensors.items() if ".layers.0." in name)
    )


@pytest.mark.parametrize("params", [PARAMS, GROUPED, MICRO], ids=["trunk", "grouped", "micro"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_are_those_of_an_independent_reordering(
    params: Mapping[str, object], dtype: torch.dtype, tmp_path: Path, project: Project
) -> None:
    model = network(params).to(dtype)
    folder = write_directory(model, params, tmp_path / "trained")
    tokenizer = project.storage / "models_v2/meta-llama-mtp/tokenizer"
    shutil.copytree(tokenizer, folder / "tokenizer")
    source = model_folder_of(project, str(folder))
    assert source.name == "trained"
    made = write_as_llama(source, tmp_path / "llama", quiet)
    found = load_file(made.folder / "model.safetensors")
    expected = as_llama(model.float(), head=0).state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor.to(dtype)), name


# What would be wrong, and is noticed.


def swapped_rows(tensors: dict[str, torch.Tensor]) -> None:
    name = "model.layers.1.self_attn.k_proj.weight"
    tensors[name] = tensors[name].roll(1, dims=0).contiguous()


def another_value(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.norm.weight"][3] += 1


def exchanged(tensors: dict[str, torch.Tensor]) -> None:
    up, gate = (f"model.layers.0.mlp.{name}_proj.weight" for name in ("up", "gate"))
    tensors[up], tensors[gate] = tensors[gate], tensors[up]


def without_norm(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["model.norm.weight"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (swapped_rows, "model.layers.1.self_attn.k_proj.weight has other values than layers.1"),
        (another_value, "model.norm.weight has other values than norm.weight"),
        (exchanged, "model.layers.0.mlp.gate_proj.weight has other values"),
        (without_norm, "model.norm.weight is missing"),
    ],
)
def test_other_values_are_named_and_change_the_logits(
    project: Project,
    written: Written,
    tmp_path: Path,
    change: Callable[[dict[str, torch.Tensor]], None],
    says: str,
) -> None:
    source = model_folder_of(project, "meta-llama-mtp")
    header = read_header(source.weights)
    shutil.copytree(written.folder, tmp_path / "other")
    path = tmp_path / "other" / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})
    wrong = unequal("meta-mtp", header, read_header(path), source.config())
    assert wrong[0].startswith(says)
    if change is without_norm:
        with pytest.raises(WmtpError, match=r"1 missing: model\.norm\.weight"):
            compare(source.weights, source.config(), path.parent)
    else:
        assert not compare(source.weights, source.config(), path.parent).equal


def test_rows_in_metas_order_would_be_noticed(
    project: Project, written: Written, tmp_path: Path
) -> None:
    source = model_folder_of(project, "meta-llama-mtp")
    stored = load_file(source.weights)
    shutil.copytree(written.folder, tmp_path / "other")
    path = tmp_path / "other" / "model.safetensors"
    tensors = load_file(path)
    for layer in range(5):
        for ours, theirs in (("q_proj", "wq"), ("k_proj", "wk")):
            name = f"model.layers.{layer}.self_attn.{ours}.weight"
            if name in tensors:
                tensors[name] = stored[f"layers.{layer}.attention.{theirs}.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    found = compare(source.weights, source.config(), path.parent)
    assert found.difference > 100 * 1e-4 * found.largest


# What is refused, and leaves nothing.


def test_a_name_that_is_taken_is_refused_and_left_as_it_is(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    source = model_folder_of(project, "micro-mtp")
    with pytest.raises(WmtpError, match="exists already"):
        write_as_llama(source, tmp_path / "mine", quiet)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


def test_what_a_killed_process_left_is_replaced_and_what_another_holds_is_not(
    project: Project, tmp_path: Path
) -> None:
    source = model_folder_of(project, "micro-mtp")
    partial = tmp_path / "new.partial"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"half")
    descriptor = open_existing(partial)
    locks.lock_open(descriptor, partial)
    with pytest.raises(WmtpError, match="another process"):
        write_as_llama(source, tmp_path / "new", quiet)
    os.close(descriptor)
    write_as_llama(source, tmp_path / "new", quiet)
    assert {path.name for path in tmp_path.iterdir()} == {"new"}
    partial.mkdir()
    (partial / "notes.txt").write_text("mine")
    (tmp_path / "new").rename(tmp_path / "old")
    with pytest.raises(WmtpError, match="files of somebody else"):
        write_as_llama(source, tmp_path / "new", quiet)
    assert (partial / "notes.txt").read_text() == "mine"


def test_damaged_weights_are_refused_before_anything_gets_the_name(
    project: Project, tmp_path: Path
) -> None:
    copy = tmp_path / "damaged"
    shutil.copytree(project.storage / "models_v2/micro-mtp", copy)
    weights = copy / "safetensors" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(WmtpError, match="SHA256SUMS states"):
        write_as_llama(model_folder_of(project, str(copy)), tmp_path / "new", quiet)
    assert {path.name for path in tmp_path.iterdir()} == {"damaged"}


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("micro-ref", r"Found: micro-ref, which is of the layout llama\."),
        ("micro-mpt", r"Expected: meta-llama-mtp or micro-mtp or the path.*Found: micro-mpt\."),
        (".", r"a folder without them, /"),
    ],
)
def test_what_is_no_model_of_several_predictions_is_refused_by_name(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WmtpError, match=says):
        model_folder_of(project, model)


def test_a_model_that_was_not_made_yet_names_the_command(project: Project, tmp_path: Path) -> None:
    empty = Project(project.catalog, tmp_path / "storage", project.hub_spec)
    with pytest.raises(WmtpError, match="wmtp materialize models/micro-mtp"):
        model_folder_of(empty, "micro-mtp")


def test_a_tokenizer_that_is_not_whole_is_refused(project: Project, tmp_path: Path) -> None:
    write_directory(network(MICRO), MICRO, tmp_path / "model")
    with pytest.raises(WmtpError, match=r"no tokenizer\.json and no tokenizer_config"):
        write_as_llama(model_folder_of(project, str(tmp_path / "model")), tmp_path / "new", quiet)


def test_a_tokenizer_of_another_size_is_refused_by_both_sizes(
    project: Project, tmp_path: Path
) -> None:
    params = {**MICRO, "vocab_size": 640}
    folder = write_directory(network(params), params, tmp_path / "model")
    shutil.copytree(project.storage / "models_v2/micro-mtp/tokenizer", folder / "tokenizer")
    with pytest.raises(WmtpError, match=r"512.*640|640.*512"):
        write_as_llama(model_folder_of(project, str(folder)), tmp_path / "new", quiet)
    assert not (tmp_path / "new").exists()


def test_a_tokenizer_json_alone_is_enough(project: Project, tmp_path: Path) -> None:
    folder = write_directory(network(MICRO), MICRO, tmp_path / "model")
    shutil.copytree(project.storage / "models_v2/micro-mtp/tokenizer", folder / "tokenizer")
    (folder / "tokenizer" / "tokenizer.model").unlink()
    made = write_as_llama(model_folder_of(project, str(folder)), tmp_path / "new", quiet)
    assert {path.name for path in made.folder.iterdir()} == FILES - {"tokenizer.model"}
    config = json.loads((made.folder / "config.json").read_bytes())
    assert (config["bos_token_id"], config["eos_token_id"]) == (1, 2)


def test_the_plan_reads_every_byte_of_the_source_that_it_keeps(project: Project) -> None:
    source = model_folder_of(project, "micro-mtp")
    header = read_header(source.weights)
    plan = plan_llama("meta-mtp", header, source.config())
    kept = [name for name in header.tensors if not name.startswith("extra_heads.")]
    assert len(plan.tensors) == len(kept)
    assert sum(t.spec.nbytes for t in plan.tensors) == sum(
        header.tensors[name].end - header.tensors[name].begin for name in kept
    )


def test_the_command(
    project: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WMTP_CATALOG", "sample")
    monkeypatch.setenv("WMTP_STORAGE", str(project.storage))
    assert main(["llama", "micro-mtp", str(tmp_path / "new"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["largest_difference_of_logits"] <= 1e-5 * said["largest_logit"]
    assert main(["llama", "micro-mtp", str(tmp_path / "new")]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["llama", "micro-mtp", str(tmp_path / "newer")]) == 0
    assert "Every value was read back" in capsys.readouterr().out


@pytest.mark.slow
def test_what_the_command_proposes_repairs_what_it_is_proposed_for(
    copied: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WMTP_CATALOG", "sample")
    monkeypatch.setenv("WMTP_STORAGE", str(copied.storage))
    monkeypatch.setenv("WMTP_HUB", str(copied.hub_spec))

    def said(status: int, *arguments: str) -> str:
        assert main(list(arguments)) == status
        found = capsys.readouterr()
        return found.out + found.err

    (copied.storage / "models_v2/micro-mtp").unlink()
    assert "wmtp materialize models/micro-mtp" in said(2, "llama", "micro-mtp", str(tmp_path / "a"))
    said(0, "materialize", "models/micro-mtp")
    said(0, "llama", "micro-mtp", str(tmp_path / "a"))

    flip(copied.store.path("models/micro-mtp") / "model.safetensors")
    assert "`wmtp verify --deep`" in said(2, "llama", "micro-mtp", str(tmp_path / "b"))
    again = re.findall(r"wmtp (materialize models/micro-mtp --force)", said(1, "verify", "--deep"))
    said(0, *again[0].split())
    said(0, "llama", "micro-mtp", str(tmp_path / "b"))
