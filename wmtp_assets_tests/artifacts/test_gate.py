"""The gate: one flipped byte anywhere closes it, and nothing that is only said opens it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import published, quick, run_checks
from wmtp_assets.artifacts.gate import Verdict, evaluate, judge, verdict_of_run, write_report
from wmtp_assets.artifacts.verify import verify
from wmtp_assets.catalog import load_catalog
from wmtp_assets.catalog.artifacts import artifacts_of
from wmtp_assets.findings import Finding
from wmtp_assets_tests.artifact_checks.breaking import flip

ARTIFACTS = artifacts_of(load_catalog("sample"))
REQUIRED = [name for name, artifact in ARTIFACTS.items() if artifact.status == "required"]
OPTIONAL = [name for name, artifact in ARTIFACTS.items() if artifact.status == "optional"]


@pytest.fixture(scope="module")
def flippable(sample: Path, project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One copy for all tests here that put back what they flip."""
    folder = tmp_path_factory.mktemp("flippable") / "storage"
    shutil.copytree(sample / "storage", folder, symlinks=True)
    return Project(project.catalog, folder, project.hub_spec)


def verdict_with(project: Project, found: list[Finding], name: str) -> Verdict:
    """The gate's verdict if nothing but the findings on `name` spoke."""
    quiet: dict[str, list[Finding]] = {required: [] for required in REQUIRED}
    return judge(project, quiet | {name: found}, links=[])


def files_of(project: Project, name: str) -> list[Path]:
    receipt = project.store.current(name)
    assert receipt is not None
    return [project.store.path(name) / file for file in receipt.files]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_flipped_byte_in_any_file_of_a_required_artifact_is_named_and_closes_the_gate(
    flippable: Project, name: str
) -> None:
    for path in files_of(flippable, name):
        flip(path)
        try:
            found = run_checks(flippable, flippable.artifacts[name])
        finally:
            flip(path)
        unchanged = found[0]
        assert unchanged.name == "files_unchanged"
        assert not unchanged.passed
        assert unchanged.where == str(path)
        assert path.name in str(unchanged.found)
        verdict = verdict_with(flippable, found, name)
        assert not verdict.open
        closed = {c.name: c for c in verdict.conditions if c.required and not c.met}
        assert {f"{flippable.artifacts[name].owner}_ready", "sha256_verified"} <= set(closed)
        assert str(path) in [reason.where for reason in closed["sha256_verified"].reasons]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_flipped_byte_in_a_receipt_closes_the_gate_and_names_the_receipt(
    flippable: Project, name: str
) -> None:
    path = flippable.store.path(name) / "receipt.json"
    flip(path)
    try:
        found = run_checks(flippable, flippable.artifacts[name])
    finally:
        flip(path)
    assert all(not finding.passed for finding in found)
    assert found[0].where == str(path)
    assert not verdict_with(flippable, found, name).open


@pytest.mark.parametrize("name", [name for name in REQUIRED if name.endswith("_raw")])
def test_a_flipped_byte_in_a_fetched_file_is_named_and_closes_the_gate(
    flippable: Project, name: str
) -> None:
    receipt = flippable.store.current(name)
    assert receipt is not None
    upstream = flippable.store.upstream / str(receipt.facts["folder"])
    listing = json.loads((flippable.store.path(name) / "fetched.json").read_bytes())["files"]
    assert listing
    for file in listing:
        flip(upstream / file)
        try:
            found = run_checks(flippable, flippable.artifacts[name])
        finally:
            flip(upstream / file)
        (wrong,) = [finding for finding in found if not finding.passed]
        assert wrong.name == "fetched_files"
        assert file in str(wrong.found)
        assert not verdict_with(flippable, found, name).open


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_flipped_byte_in_an_optional_artifact_is_named_and_closes_nothing(
    flippable: Project, name: str
) -> None:
    for path in files_of(flippable, name):
        flip(path)
        try:
            found = run_checks(flippable, flippable.artifacts[name])
        finally:
            flip(path)
        assert not found[0].passed
        assert path.name in str(found[0].found)
        assert verdict_with(flippable, found, name).open


@pytest.mark.slow
def test_the_gate_is_open_without_the_optional_model_and_closed_without_a_byte(
    copied: Project,
) -> None:
    for name in OPTIONAL:
        shutil.rmtree(copied.store.versions.home(name))
    verdict = evaluate(copied)
    assert verdict.open, [str(r) for c in verdict.conditions if c.required for r in c.reasons]
    assert verify(copied).sound
    path = copied.store.path("datasets/mbpp_test") / "test.jsonl"
    flip(path)
    verdict = evaluate(copied)
    assert not verdict.open
    closed = {condition.name for condition in verdict.conditions if not condition.met}
    assert {"mbpp_ready", "sha256_verified"} <= closed
    assert "codecontests_ready" not in closed


@pytest.mark.slow
def test_a_report_that_says_open_opens_nothing_in_another_run(copied: Project) -> None:
    (copied.store.path("datasets/humaneval_test") / "test.jsonl").unlink()
    said = Verdict.from_json(json.loads(copied.report.read_bytes()))
    assert said.open
    write_report(copied, said)
    verdict = verdict_of_run(copied, "another run")
    assert not verdict.open
    written = json.loads(copied.report.read_bytes())
    assert written["open"] is False
    assert written["run_id"] == "another run"


def test_a_reason_gives_the_file_what_was_expected_and_the_command_that_repairs(
    flippable: Project,
) -> None:
    name = "models/micro-mtp_adapter"
    (path,) = files_of(flippable, name)
    flip(path)
    try:
        found = run_checks(flippable, flippable.artifacts[name])
    finally:
        flip(path)
    verdict = verdict_with(flippable, found, name)
    (reason, *_) = next(c for c in verdict.conditions if c.name == "micro-mtp_ready").reasons
    assert reason.where == str(path)
    assert reason.check == "files_unchanged"
    assert "SHA-256" in reason.found
    assert reason.hint == f"wmtp materialize {name} --force"


def test_a_verdict_survives_its_report(flippable: Project) -> None:
    name = REQUIRED[0]
    missing = Finding("files_unchanged", False, "a file", "nothing", "a/path", hint="a command")
    verdict = verdict_with(flippable, [missing], name)
    written = json.loads(json.dumps(verdict.to_json()))
    assert Verdict.from_json(written) == verdict
    # Reports are read outside of this package: their fields keep their names.
    (condition,) = [c for c in written["conditions"] if c["name"] == "sha256_verified"]
    assert condition["reasons"] == [
        {
            "artifact": name,
            "question": "files_unchanged",
            "expected": "a file",
            "found": "nothing",
            "file": "a/path",
            "hint": "a command",
        }
    ]


def test_the_quick_look_sees_sizes_receipts_headers_and_links(copied: Project) -> None:
    assert verify(copied).sound
    path = copied.store.path("datasets/mbpp_test") / "test.jsonl"
    with path.open("ab") as file:
        file.write(b"\n")
    (wrong,) = [f for f in quick(copied, ARTIFACTS["datasets/mbpp_test"]) if not f.passed]
    assert "test.jsonl" in f"{wrong.found} {wrong.where}"
    link = copied.storage / "models_v2/micro-ref"
    target = link.readlink()
    link.unlink()
    link.symlink_to(f"{target}.elsewhere")
    report = verify(copied)
    assert not report.sound
    assert {problem.artifact for problem in report.problems if problem.blocking} >= {
        "datasets/mbpp_test",
        "models/micro-ref",
    }


def test_a_contract_path_that_leads_elsewhere_is_named(copied: Project) -> None:
    place = copied.storage / "datasets_v2/humaneval/processed/test.jsonl"
    place.unlink()
    place.write_text("{}\n", encoding="utf-8")
    (wrong,) = [finding for finding in published(copied) if not finding.passed]
    assert wrong.where == str(place)
    assert wrong.blocking
