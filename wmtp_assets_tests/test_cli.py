"""`wmtp` as a person and as a program call it: exit statuses, one-line errors, JSON."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.staleness import stale_artifacts
from wmtp_assets.cli import main
from wmtp_assets_tests.artifact_checks.breaking import flip

COMMANDS = [
    "run",
    "materialize",
    "verify",
    "gate",
    "report",
    "ui",
    "list",
    "sample",
    "validate",
    "doctor",
    "mirror",
    "pin",
    "history",
    "rollback",
    "gc",
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Dagster home of the test's own; the working folder is put back afterwards."""
    folder = tmp_path / "home"
    folder.mkdir()
    checkout = Path(__file__).parents[1]
    shutil.copy(checkout / "dagster.yaml", folder)
    shutil.copy(checkout / "workspace.yaml", folder)
    monkeypatch.chdir(folder)
    for name in ("WMTP_CATALOG", "WMTP_STORAGE", "WMTP_HUB", "TQDM_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    return folder


@pytest.fixture
def complete(copied: Project, home: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the made sample, named by the environment as a user names theirs."""
    monkeypatch.setenv("WMTP_STORAGE", str(copied.storage))
    monkeypatch.setenv("WMTP_HUB", str(copied.hub_spec))
    return copied


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_help_names_every_command_and_the_environment(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n    {name}" not in text] == []
    assert "WMTP_CATALOG" in text
    assert "WMTP_HUB" in text


@pytest.mark.parametrize("arguments", [[], ["materialise"], ["verify", "--sample", "2/3"]])
def test_a_call_that_makes_no_sense_exits_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: wmtp" in capsys.readouterr().err


def test_list_names_every_artifact_and_the_contracts_paths(
    complete: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "--json"]) == 0
    listed = said(capsys)
    assert [entry["name"] for entry in listed] == list(complete.artifacts)
    paths = [path for entry in listed for path in entry["links"]]
    assert "models_v2/meta-llama-mtp/safetensors/model.safetensors" in paths
    assert all((complete.storage / path).exists() for path in paths)
    assert main(["list"]) == 0
    assert "    datasets_v2/mbpp/processed/test.jsonl" in capsys.readouterr().out


@pytest.mark.slow
def test_verify_is_quiet_about_what_is_sound_and_names_what_is_not(
    complete: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--json"]) == 0
    report = said(capsys)
    assert report["sound"] is True
    path = complete.store.path("datasets/humaneval_test") / "test.jsonl"
    flip(path)
    assert main(["verify"]) == 0, "a quick look reads no rows"
    assert "--deep reads all" in capsys.readouterr().out
    assert main(["verify", "--deep"]) == 1
    text = capsys.readouterr().out
    assert str(path) in text
    assert "NOT SOUND" in text


@pytest.mark.slow
def test_the_gate_exits_0_when_open_and_1_when_closed_and_says_what_repairs(
    complete: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = complete.store.path("datasets/humaneval_test") / "test.jsonl"
    path.unlink()
    assert main(["gate", "--json"]) == 1
    verdict = said(capsys)
    assert verdict["open"] is False
    closed = {c["name"]: c for c in verdict["conditions"] if not c["met"] and c["required"]}
    reasons = closed["humaneval_ready"]["reasons"]
    assert any("wmtp materialize datasets/humaneval_test" in r["hint"] for r in reasons)
    assert json.loads(complete.report.read_bytes())["open"] is False


@pytest.mark.slow
def test_a_second_materialize_makes_nothing_and_proves_everything(
    complete: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stamps(complete)
    assert main(["materialize", "group:humaneval", "--json"]) == 0
    run = said(capsys)
    assert run["made"] == []
    assert run["succeeded"] is True
    assert run["gate"]["open"] is True
    checked = {check["artifact"] for check in run["checks"]}
    assert checked == {name for name, one in complete.artifacts.items() if one.owner == "humaneval"}
    assert stamps(complete) == before


def stamps(project: Project) -> dict[str, tuple[int, int]]:
    """Every file that was made, with its time and its inode: both change when it is made again."""
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in project.store.versions.folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_force_makes_the_selected_asset_again_and_nothing_else(
    complete: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "datasets/mbpp_validation_metadata"
    receipt = complete.store.current(name)
    assert receipt is not None
    assert main(["materialize", name, "--force", "--json"]) == 0
    assert said(capsys)["made"] == [name]
    again = complete.store.current(name)
    assert again is not None
    assert again.sequence > receipt.sequence
    assert again.digest == receipt.digest


@pytest.mark.slow
def test_a_failed_blocking_check_exits_1_and_names_the_file(
    complete: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    path = complete.store.path("datasets/mbpp_test_metadata") / "test_metadata.json"
    flip(path)
    assert main(["materialize", "datasets/mbpp_test_metadata"]) == 1
    text = capsys.readouterr().out
    assert "FAILED: datasets/mbpp_test_metadata files_unchanged" in text
    assert str(path) in text
    assert "The gate is CLOSED" in text
    # And the command that it names repairs it.
    assert "wmtp materialize datasets/mbpp_test_metadata --force" in text
    assert main(["materialize", "datasets/mbpp_test_metadata", "--force"]) == 0
    assert "The gate is OPEN" in capsys.readouterr().out


@pytest.mark.slow
def test_what_changed_upstream_is_remade_with_what_follows_and_nothing_else(
    complete: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import pyarrow.parquet as pq

    hub = tmp_path / "changed-hub"
    shutil.copytree(str(complete.hub_spec), hub)
    lock = json.loads((hub / "assets.lock").read_bytes())
    # This one repository has no record any more, so that its files speak for themselves.
    del lock["repos"]["datasets/openai/openai_humaneval"]
    (hub / "assets.lock").write_text(json.dumps(lock), encoding="utf-8")
    (path,) = hub.rglob("openai_humaneval/test-*.parquet")
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)
    monkeypatch.setenv("WMTP_HUB", str(hub))
    complete = replace(complete, hub_spec=str(hub))
    parts = ("test_raw", "test", "test_metadata", "test_verdicts", "schema", "card", "quality_card")
    # Rows for training are compared with these.
    leaks = {
        f"datasets/{name}_{part}"
        for name in ("codecontests", "mbpp")
        for part in ("train_leaks", "quality_card")
    }
    stale = {*(f"datasets/humaneval_{part}" for part in parts), *leaks}
    assert stale_artifacts(complete, complete.artifacts) == stale
    # A row less than the catalog expects: the check says so.
    assert main(["materialize", "group:humaneval", "--json"]) == 1
    run = said(capsys)
    made = {name for name in run["made"] if name in complete.artifacts}
    assert {"datasets/humaneval_test_raw", "datasets/humaneval_test"} <= made <= stale
    wrong = [check for check in run["checks"] if not check["passed"] and check["blocking"]]
    assert ("datasets/humaneval_test", "row_counts") in {(c["artifact"], c["check"]) for c in wrong}
    assert run["gate"]["open"] is False


@pytest.mark.parametrize(
    ("catalog", "words"),
    [
        ("nowhere.yaml", "cannot be read"),
        ("broken.yaml", "broken.yaml:2 models.x"),
    ],
)
def test_a_catalog_that_cannot_be_used_is_one_line_and_exit_2(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    catalog: str,
    words: str,
) -> None:
    (home / "broken.yaml").write_text(
        "name: broken\nmodels: {x: {layout: none}}\n", encoding="utf-8"
    )
    monkeypatch.setenv("WMTP_CATALOG", catalog)
    assert main(["list"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("wmtp: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err


@pytest.mark.parametrize("selection", ["models/none", "group:none", "tag:"])
def test_a_selection_of_nothing_is_one_line_and_exit_2(
    complete: Project, capsys: pytest.CaptureFixture[str], selection: str
) -> None:
    assert main(["materialize", selection]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"wmtp: Nothing is selected by '{selection}'.")
    assert "`wmtp list` names every asset" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", ["run", "ui"])
def test_a_taken_port_is_one_line_and_exit_2_before_any_work(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.setenv("WMTP_STORAGE", str(home / "storage"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main([command, "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert f"cannot listen on 127.0.0.1:{port}" in error
    assert error.count("\n") == 1
    assert not (home / "storage").exists()


def test_a_hub_that_is_not_there_is_one_line_and_exit_2(
    complete: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WMTP_HUB", "/nowhere/at/all")
    assert main(["materialize"]) == 2
    error = capsys.readouterr().err
    assert "/nowhere/at/all" in error
    assert error.count("\n") == 1


def test_sample_writes_a_directory_hub_that_works_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sample: Path
) -> None:
    assert main(["sample", str(tmp_path / "mine")]) == 0
    assert f"WMTP_HUB={tmp_path / 'mine'}" in capsys.readouterr().out
    written = {p.relative_to(tmp_path / "mine") for p in (tmp_path / "mine").rglob("*")}
    assert written == {p.relative_to(sample / "hub") for p in (sample / "hub").rglob("*")}


def test_history_tells_what_was_published_and_refuses_what_never_is(
    complete: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "models/micro-ref", "--json"]) == 0
    history = said(capsys)
    assert history["set"] == "models/micro-ref"
    assert [one["current"] for one in history["versions"]].count(True) == 1
    assert main(["history", "models/none"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_gc_says_what_it_would_remove_and_removes_nothing_in_a_dry_run(
    complete: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stamps(complete)
    assert main(["gc", "--keep", "1", "--dry-run", "--json"]) == 0
    assert said(capsys)["dry_run"] is True
    assert stamps(complete) == before


def test_a_reader_that_hangs_up_is_no_error(complete: Project) -> None:
    done = subprocess.run(
        [
            "/bin/bash",
            "-o",
            "pipefail",
            "-c",
            f"{Path(sys.executable).with_name('wmtp')} list | head -1",
        ],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "models/tokenizer_raw  (group tokenizer)\n"
    assert done.returncode == 0, done.stderr
