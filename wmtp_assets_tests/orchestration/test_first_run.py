"""What the first run of the sample made and said: the session's shared storage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import checks_of
from wmtp_assets.artifacts.staleness import stale_artifacts
from wmtp_assets.catalog.artifacts import Kind
from wmtp_assets.cli.report import rows, table
from wmtp_assets_tests.test_definitions import READY


@pytest.fixture(scope="module")
def said(sample: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((sample / "made.json").read_text(encoding="utf-8"))
    return value


def test_one_run_makes_every_artifact_and_the_gates_report(
    said: dict[str, Any], project: Project
) -> None:
    assert said["success"] is True
    own = {"doctor", "phase2_readiness", "report", *READY}
    assert set(said["made"]) == {*project.artifacts, *own}
    report = json.loads(project.report.read_bytes())
    assert report["open"] is True


# What the sample holds on purpose is warned of.
WARNED = {(f"datasets/{name}_train_leaks", "no_leaks") for name in ("codecontests", "mbpp")}


def test_every_check_ran_and_passed(said: dict[str, Any], project: Project) -> None:
    asked = {(check["asset"], check["name"]) for check in said["checks"]}
    wanted = {
        (a.name, check.name) for a in project.artifacts.values() for check in checks_of(project, a)
    }
    ready = {(name, "is_ready") for name in READY}
    assert asked == wanted | ready | {("phase2_readiness", "gate_is_open")}
    failed = [check for check in said["checks"] if not check["passed"]]
    assert {(check["asset"], check["name"]) for check in failed} == WARNED
    assert {check["severity"] for check in failed} == {"WARN"}


def test_every_check_shows_the_expected_beside_the_found(said: dict[str, Any]) -> None:
    for check in said["checks"]:
        assert check["metadata"]["expected"], check
        assert check["metadata"]["found"], check


def test_what_datasets_wait_for_is_checked_before_any_checkpoint(
    said: dict[str, Any], project: Project
) -> None:
    order = list(dict.fromkeys(check["asset"] for check in said["checks"]))
    checkpoints = [a.name for a in project.artifacts.values() if a.kind is Kind.CHECKPOINT]
    tokenizer = order.index("models/tokenizer")
    assert tokenizer < min(map(order.index, checkpoints))
    assert order[-1] == "phase2_readiness"


def test_nothing_is_stale_after_a_run(project: Project) -> None:
    assert stale_artifacts(project, project.artifacts) == set()


def test_every_path_of_the_contract_leads_to_a_file(project: Project) -> None:
    for name, published in project.sets.items():
        for path in published.links:
            assert (project.storage / path).exists(), (name, path)
    models = sorted(path.name for path in (project.storage / "models_v2").iterdir())
    assert models == sorted(project.catalog.models)
    metadata = list(project.storage.glob("datasets_*/*/**/*_metadata.json"))
    assert len(metadata) == 10


def test_the_optional_files_beside_a_reward_model_were_never_taken(project: Project) -> None:
    folder = project.store.upstream / "models/berkeley-nest/Starling-RM-7B-alpha"
    taken = {path.name for path in folder.rglob("*") if path.is_file()}
    assert taken == {"pytorch_model.bin", "config.json"}


def test_the_table_has_a_line_for_every_artifact_with_its_digest(project: Project) -> None:
    text = table(rows(project, []))
    lines = text.splitlines()
    assert len(lines) == len(project.artifacts) + 1
    for name in project.artifacts:
        receipt = project.store.current(name)
        assert receipt is not None
        (line,) = [line for line in lines if line.split()[0] == name]
        assert receipt.digest[:12] in line
    assert " 468,032 " in text
    assert " 381 " in text
    assert max(map(len, lines)) <= 100
