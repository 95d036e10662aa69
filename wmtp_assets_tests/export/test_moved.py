"""The sample, exported, copied elsewhere by stock programs, and used there; and `wmtp` about it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import wmtp_assets
from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.exporting import chosen_sets, export
from wmtp_assets.cli import main
from wmtp_assets.errors import WmtpError
from wmtp_assets.export import verify_export

MODEL, SPLIT = "micro-mtp", "datasets/codecontests_train"


@pytest.fixture(scope="module")
def exported(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model and one dataset of the sample, exported."""
    folder = tmp_path_factory.mktemp("moving") / "out"
    done = export(project, folder, [f"models/{MODEL}", "codecontests"])
    assert not done.wrong
    return folder


@pytest.fixture
def named(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The sample's storage, named by the environment."""
    monkeypatch.setenv("WMTP_STORAGE", str(project.storage))
    monkeypatch.setenv("WMTP_HUB", str(project.hub_spec))
    monkeypatch.setenv("WMTP_CATALOG", "sample")
    monkeypatch.chdir(tmp_path)
    return project


def rsync(*arguments: object) -> None:
    if shutil.which("rsync") is None:
        pytest.skip("no rsync on this machine")
    subprocess.run(["rsync", *map(str, arguments)], check=True)


@pytest.mark.parametrize("option", ["-a", "-aH"])
def test_what_rsync_brought_elsewhere_is_verified_and_loaded_there(
    option: str, exported: Path, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rsync(option, f"{exported}/", f"{tmp_path}/moved/")
    monkeypatch.chdir(tmp_path)
    for volume in ("models_v2", "datasets_v2", "datasets_local_small"):
        command = ["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"]
        subprocess.run(command, cwd=tmp_path / "moved" / volume, check=True)
    assert verify_export(tmp_path / "moved").sound

    here = wmtp_assets.open_corpus("moved", "codecontests", "train")
    there = wmtp_assets.open_corpus(project.storage, "codecontests", "train")
    assert here[:] == there[:]
    assert len(wmtp_assets.open_corpus("moved", "codecontests_small", "train")) > 0
    here.verify()

    model = wmtp_assets.from_pretrained(f"moved/models_v2/{MODEL}", dtype=torch.float32)
    ours = wmtp_assets.from_pretrained(project.storage / "models_v2" / MODEL, dtype=torch.float32)
    tokens = torch.tensor([[1, 15, 20, 7]])
    assert torch.equal(model(tokens), ours(tokens))

    # Volumes are mounted apart, under names of their own.
    (tmp_path / "apart").mkdir()
    (tmp_path / "moved/models_v2").rename(tmp_path / "apart/anything")
    assert verify_export(tmp_path / "apart/anything").sound
    wmtp_assets.from_pretrained(tmp_path / "apart/anything" / MODEL)


def test_an_export_of_everything_holds_every_path_of_the_contract(
    current_project: Project, tmp_path: Path
) -> None:
    done = export(current_project, tmp_path / "out", link=True)
    assert verify_export(tmp_path / "out").sound
    missing = [
        path
        for published in current_project.sets.values()
        for path in published.links
        if not (tmp_path / "out" / path).exists()
    ]
    assert missing == []
    assert set(done.sets) == set(current_project.sets)
    assert not any(path.is_symlink() for path in (tmp_path / "out").rglob("*"))


def test_a_model_is_stored_once_however_many_names_it_has(project: Project, tmp_path: Path) -> None:
    assert export(project, tmp_path, ["micro-ref"]).names > 0
    names = list((tmp_path / "models_v2/micro-ref").rglob("*.safetensors"))
    assert len(names) == 2
    assert names[0].samefile(names[1])


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        ([SPLIT], {SPLIT}),
        ([f"{SPLIT}_metadata"], {SPLIT}),
        (["models/micro-mtp_certificate"], {"models/micro-mtp"}),
        (["micro-mtp", "group:micro_ref"], {"models/micro-mtp", "models/micro-ref"}),
    ],
)
def test_what_is_selected_is_published_together(
    selection: list[str], wanted: set[str], project: Project
) -> None:
    assert set(chosen_sets(project, selection)) == wanted


def test_a_dataset_is_selected_by_its_name_with_its_small_copy(project: Project) -> None:
    chosen = chosen_sets(project, ["codecontests"])
    assert any("small" in name for name in chosen)
    assert all(name.startswith("datasets/codecontests_") for name in chosen)


def test_a_selection_of_nothing_names_what_lists_them(project: Project) -> None:
    with pytest.raises(WmtpError, match=r"`wmtp list` names every asset"):
        chosen_sets(project, ["models/none"])


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_wmtp_exports_says_how_and_verifies_with_its_exit_status(
    named: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "out", "models/micro-ref"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"\d+ files (copied|cloned)", text)
    assert "rsync -aH" in text
    assert main(["export", "out", "datasets/mbpp_test", "--json"]) == 0
    value = said(capsys)
    assert value["sets"].keys() == {"datasets/mbpp_test"}
    assert value["volumes"] == ["datasets_v2"]
    assert main(["export", "out", "models/micro-ref", "--json"]) == 0
    again = said(capsys)
    assert again["files"].keys() == {"names", "kept", "removed"}
    assert again["files"]["kept"] > 10

    assert main(["verify", "out", "--json"]) == 0
    assert said(capsys)["sets"].keys() == {"models/micro-ref", "datasets/mbpp_test"}
    path = tmp_path / "out/datasets_v2/mbpp/processed/test.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[:-2] + b"]\n")
    assert main(["verify", "out"]) == 1
    assert f"WRONG: changed: {path}" in capsys.readouterr().out
    assert main(["verify", "out/models_v2"]) == 0
    assert main(["export", "out", "datasets/mbpp_test"]) == 0
    assert path.read_bytes() == data
    assert main(["verify", "out"]) == 0


@pytest.mark.parametrize(
    "command",
    [
        ["verify", "nowhere"],
        ["verify", "."],
        ["verify", ".", "--against-source"],
        ["doctor", "nowhere"],
        ["export", "out", "none"],
    ],
)
def test_what_cannot_be_tried_is_one_line_and_exit_2(
    command: list[str], named: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("wmtp: ")
    assert captured.err.count("\n") == 1


def test_a_damaged_source_is_exit_1_and_the_printed_command_completes_the_export(
    copied: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("WMTP_STORAGE", str(copied.storage))
    monkeypatch.setenv("WMTP_HUB", str(copied.hub_spec))
    path = copied.store.path("datasets/mbpp_test") / "test.jsonl"
    right = path.read_bytes()
    path.write_bytes(right[:-2] + b"]\n")
    out = str(tmp_path / "out")
    assert main(["export", out, "mbpp"]) == 1
    text = capsys.readouterr().out
    assert "`wmtp materialize datasets/mbpp_test --force`" in text
    assert f"{out} is not complete" in text
    assert main(["verify", out]) == 1
    text = capsys.readouterr().out
    assert run_printed(text, "wmtp export ") == 1, "the source is damaged still"
    path.write_bytes(right)
    assert run_printed(text, "wmtp export ") == 0
    assert main(["verify", out]) == 0


def run_printed(text: str, beginning: str) -> int:
    """Runs the one command in a text that begins so, as a person who copies it; its status."""
    (command,) = {one for one in re.findall(r"`([^`]+)`", text) if one.startswith(beginning)}
    if command.startswith("wmtp"):
        return main(shlex.split(command)[1:])
    return subprocess.run(["/bin/bash", "-c", command], check=False).returncode


def test_what_is_printed_of_a_volume_and_of_other_folders_helps(
    named: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "out", "codecontests"]) == 0
    shutil.rmtree("out/datasets_local_small")
    capsys.readouterr()
    assert main(["verify", "out"]) == 1
    assert run_printed(capsys.readouterr().out, "wmtp verify ") == 0

    record = tmp_path / "out/datasets_v2/export.json"
    record.write_bytes(record.read_bytes().replace(b"train", b"drain"))
    assert main(["export", "out", "codecontests"]) == 2
    (command,) = re.findall(r"`(sha256sum [^`]+)`", capsys.readouterr().err)
    subprocess.run(shlex.split(command), cwd=record.parent, check=True, stdout=subprocess.DEVNULL)

    (tmp_path / "other").mkdir()
    assert main(["verify", "other"]) == 2
    said = capsys.readouterr().err
    assert run_printed(said, "wmtp doctor ") == 0
    assert run_printed(said.replace(", as `wmtp export` writes it", ""), "wmtp verify") == 0


def test_what_others_put_into_an_export_is_moved_away_by_the_printed_command(
    named: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "out", "models/micro-ref"]) == 0
    theirs = tmp_path / "out/models_v2/micro-ref/hf/generation_config.json"
    theirs.write_bytes(b"{}")
    capsys.readouterr()
    assert main(["export", "out", "models/micro-ref"]) == 2
    assert run_printed(capsys.readouterr().err, "mkdir ") == 0
    assert not theirs.exists()
    assert main(["export", "out", "models/micro-ref"]) == 0
    assert main(["verify", "out"]) == 0
    assert len(list((tmp_path / "out").rglob(theirs.name))) == 1, "it was moved, not removed"


# The copies that arrive without a file, and what the storage's machine tells about them.
COPIES: dict[str, tuple[Callable[[Path, Path], list[object]], str]] = {
    "a model": (
        lambda storage, out: [f"{storage}/models_v2/{MODEL}/", f"{out}/"],
        f"models_v2/{MODEL}/",
    ),
    "all models": (lambda storage, out: [storage / "models_v2", f"{out}/"], "models_v2"),
    "a dataset": (
        lambda storage, out: [f"{storage}/datasets_v2/mbpp/", f"{out}/"],
        "datasets_v2/mbpp/",
    ),
}


@pytest.mark.parametrize("case", COPIES)
@pytest.mark.parametrize("remedy", ["rsync -aL ", "wmtp export "])
def test_dangling_links_are_found_and_each_remedy_brings_the_files(
    case: str, remedy: str, named: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, part = COPIES[case]
    out = tmp_path / "their copy"
    rsync("-a", *arguments(named.storage, out))
    assert main(["doctor", str(out), "--json"]) == 1
    (fact,) = said(capsys)["facts"]
    assert fact["found"].startswith("0 files and ")
    commands = re.findall(r"`([^`]+)`", fact["hint"])
    (command,) = [one for one in commands if one.startswith(remedy)]
    if remedy.startswith("rsync"):
        assert f"{named.storage}/{part}" in command
        subprocess.run(["/bin/bash", "-c", command], check=True, env=dict(os.environ))
        assert main(["doctor", str(out)]) == 0
        assert not any(path.is_symlink() for path in out.rglob("*"))
        assert any(path.suffix in (".jsonl", ".safetensors") for path in out.rglob("*"))
    else:
        assert main(shlex.split(command)[1:]) == 0
        capsys.readouterr()
        beside = Path(shlex.split(command)[2])
        assert main(["verify", str(beside)]) == 0
        wanted = {p.name for p in out.rglob("*") if p.is_symlink() and not p.exists()}
        there = {p.name for p in beside.rglob("*")}
        assert wanted <= there


def test_a_whole_storage_and_an_export_have_no_dangling_links(
    named: Project, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(exported)]) == 0
    rsync("-a", f"{named.storage}/models_v2", f"{named.storage}/published", tmp_path)
    rsync("-a", f"{named.storage}/versions", tmp_path)
    assert main(["doctor", str(tmp_path / "models_v2")]) == 0
    assert "every link leads somewhere" in capsys.readouterr().out


def test_without_the_storage_the_doctor_says_what_to_do_where_it_is(
    named: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    rsync("-a", f"{named.storage}/models_v2/{MODEL}/", tmp_path / "out")
    monkeypatch.setenv("WMTP_STORAGE", str(tmp_path / "no storage"))
    assert main(["doctor", str(tmp_path / "out")]) == 1
    text = capsys.readouterr().out
    assert "where the storage is" in text
    assert "`wmtp export" in text
    assert f"models/{MODEL}" in text
