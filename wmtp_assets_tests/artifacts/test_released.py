"""`gc --raw`: fetched weights may go once every value is proven, and the gate stays open for just
as long as the checkpoint is the one that was proven."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.gate import Verdict, evaluate
from wmtp_assets.artifacts.released_weights import FOLDER, released
from wmtp_assets.artifacts.staleness import stale_artifacts
from wmtp_assets.cli import main
from wmtp_assets_tests.artifact_checks.breaking import flip
from wmtp_assets_tests.artifacts.editions import CHECKPOINT, model_alone, newer, planted
from wmtp_assets_tests.artifacts.workbench import Workbench

RAW = f"{CHECKPOINT}_raw"


@pytest.fixture
def ours(memory: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    ours = planted(project, model_alone(project.catalog), memory / "storage")
    for module in ("runs", "versions"):
        monkeypatch.setattr(f"wmtp_assets.cli.{module}.open_project", lambda: ours)
    return ours


@pytest.fixture
def without(ours: Project, capsys: pytest.CaptureFixture[str]) -> Project:
    """The same after the weights were released."""
    assert main(["gc", "--raw"]) == 0
    capsys.readouterr()
    assert not weights(ours).exists()
    return ours


def weights(project: Project) -> Path:
    return (
        project.store.upstream / "models/facebook/multi-token-prediction/7B_1T_4/consolidated.pth"
    )


def record(project: Project) -> Path:
    return project.store.upstream / FOLDER / f"{RAW}.json"


def reasons(verdict: Verdict) -> str:
    return "\n".join(
        str(reason)
        for condition in verdict.conditions
        if condition.required
        for reason in condition.reasons
    )


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_dry_run_names_the_weights_and_leaves_them(
    ours: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gc", "--raw", "--dry-run", "--json"]) == 0
    assert [one["path"] for one in told(capsys)["removed"]] == [str(weights(ours))]
    assert weights(ours).exists()
    assert not record(ours).exists()


def test_the_gate_stays_open_and_says_what_it_can_no_longer_compare(without: Project) -> None:
    verdict = evaluate(without)
    assert verdict.open, reasons(verdict)
    (recommended,) = (one for one in verdict.conditions if one.name == "recommended")
    (warning,) = (one for one in recommended.reasons if one.artifact == RAW)
    assert warning.check == "weights_kept"
    assert "consolidated.pth" in warning.found
    assert stale_artifacts(without, without.artifacts) == set(), "nothing is fetched again"


def test_against_its_source_it_cannot_be_verified_any_more_and_that_is_said(
    without: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "--deep"]) == 0
    capsys.readouterr()
    assert main(["verify", "--against-source", "--json"]) == 1
    (wrong,) = (one for one in told(capsys)["problems"] if one["blocking"])
    assert "are released" in wrong["found"]


def test_letting_go_twice_changes_nothing(
    without: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = record(without).read_bytes()
    assert main(["gc", "--raw", "--json"]) == 0
    assert told(capsys)["removed"] == []
    assert record(without).read_bytes() == before


def test_a_link_out_of_the_storage_is_not_written_through(
    ours: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (ours.store.upstream / FOLDER).symlink_to(tmp_path)
    assert main(["gc", "--raw"]) == 2
    assert str(tmp_path) in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert weights(ours).exists()


@pytest.mark.parametrize("damage", ["weights", "checkpoint"])
def test_weights_that_are_not_proven_stay(
    damage: str, ours: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    flip(
        weights(ours) if damage == "weights" else ours.store.path(CHECKPOINT) / "model.safetensors"
    )
    assert main(["gc", "--raw", "--json"]) == 0
    assert told(capsys)["removed"] == []
    assert weights(ours).exists()


def test_the_record_does_not_speak_for_a_changed_checkpoint(without: Project) -> None:
    flip(without.store.path(CHECKPOINT) / "model.safetensors")
    verdict = evaluate(without)
    assert not verdict.open
    assert "files_unchanged" in reasons(verdict)


@pytest.mark.parametrize("forged", ["another checkpoint", "another file", "no record"])
def test_a_record_that_was_edited_or_taken_away_closes_the_gate(
    forged: str, without: Project
) -> None:
    value = json.loads(record(without).read_bytes())
    if forged == "another checkpoint":
        value["checkpoint"] = "0" * 64
    elif forged == "another file":
        value["files"] = dict.fromkeys(value["files"], "0" * 64)
    record(without).write_text(json.dumps(value), encoding="utf-8")
    if forged == "no record":
        record(without).unlink()
    assert released(without, RAW) is None
    verdict = evaluate(without)
    assert not verdict.open
    assert "consolidated.pth: no file" in reasons(verdict)


def test_for_another_dtype_the_weights_are_fetched_again(without: Project) -> None:
    now = Project(newer(without.catalog), without.storage, without.hub_spec)
    assert {RAW, CHECKPOINT} <= stale_artifacts(now, now.artifacts)
    Workbench(now).make([RAW, CHECKPOINT])
    assert weights(now).exists()
    assert released(now, RAW) is None
