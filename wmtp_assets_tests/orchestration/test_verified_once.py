"""A run of the real command verifies each artifact once, and a gate after it everything again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.artifacts import Project, verification
from wmtp_assets.cli import main
from wmtp_assets_tests.artifact_checks.breaking import flip
from wmtp_assets_tests.artifacts.test_verification import Counted
from wmtp_assets_tests.orchestration.tiny import VARIABLES, Tiny, whole

SPLIT = "datasets/humaneval_test"


@pytest.fixture
def world(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    made = whole(project, tmp_path / "world")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in made.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(made.folder)
    return made


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counting = Counted()
    monkeypatch.setattr(verification, "run_checks", counting)
    return counting


def materialized(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    main(["materialize", *arguments, "--json"])
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_an_unchanged_run_verifies_each_artifact_once(
    world: Tiny, counted: Counted, capsys: pytest.CaptureFixture[str]
) -> None:
    said = materialized(capsys)
    assert said["succeeded"], said["failures"]
    assert said["made"] == ["report"], "the world was planted without its pages"
    assert said["gate"]["open"]
    assert counted.times == dict.fromkeys(world.project.artifacts, 1)


def test_a_run_that_makes_something_verifies_each_artifact_once(
    world: Tiny, counted: Counted, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(world.storage / "versions" / SPLIT)
    said = materialized(capsys)
    assert said["succeeded"], said["failures"]
    assert SPLIT in said["made"]
    assert counted.times == dict.fromkeys(world.project.artifacts, 1)


def test_what_changed_after_its_check_is_found_by_the_gate_of_the_same_run(
    world: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from wmtp_assets.artifacts import gate

    project = world.project
    path = project.store.path(SPLIT) / "test.jsonl"
    before = gate.evaluate

    def changed_first(ours: Project, run_id: str | None = None) -> gate.Verdict:
        flip(path)
        return before(ours, run_id)

    monkeypatch.setattr(gate, "evaluate", changed_first)
    said = materialized(capsys)
    checks = {(one["artifact"], one["check"]): one["passed"] for one in said["checks"]}
    assert checks[SPLIT, "files_unchanged"]
    assert not said["gate"]["open"]
    assert not checks["phase2_readiness", "gate_is_open"]
    assert "test.jsonl" in json.dumps(said["gate"]["conditions"])
