"""What Dagster's database says, or no longer says, is nothing to the gate; nor is what SHA256SUMS
and receipts were edited to say."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import checks_of, quick, run_checks
from wmtp_assets.artifacts.gate import evaluate
from wmtp_assets.artifacts.verify import verify
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.checkpoints.scan import scan_file
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.storage.digests import sha256_file, write_sha256sums
from wmtp_assets.storage.receipts import FileRecord, Receipt
from wmtp_assets_tests.artifact_checks.breaking import document, flip, recommit
from wmtp_assets_tests.artifacts.editions import CHECKPOINT, SPLIT, planted, small

WEIGHTS = "model.safetensors"


def answer(project: Project) -> tuple[bool, object]:
    """The gate's answer, without the time of day."""
    verdict = evaluate(project)
    return verdict.open, verdict.to_json()["conditions"]


@pytest.mark.parametrize("passed", [True, False])
def test_forged_checks_and_a_wiped_home_change_no_answer(
    passed: bool, memory: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Passing checks are reported for broken files, and failing ones for sound files."""
    ours = planted(project, small(project.catalog, "optional"), memory / "storage")
    if passed:
        flip(ours.store.path(SPLIT) / "test.jsonl")
    before = answer(ours)
    assert before[0] is not passed

    home = memory / "dagster"
    home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        for artifact in ours.artifacts.values():
            instance.report_runless_asset_event(dg.AssetMaterialization(key_of(artifact.name)))
            for check in checks_of(ours, artifact):
                forged = dg.AssetCheckEvaluation(
                    asset_key=key_of(artifact.name),
                    check_name=check.name,
                    passed=passed,
                    metadata={},
                )
                instance.report_runless_asset_event(forged)
        told = instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(key_of(SPLIT), "files_unchanged"), limit=1
        )
        assert len(told) == 1, "the forgery is in the database"
        assert answer(ours) == before
    shutil.rmtree(home)
    assert answer(ours) == before


def edited_to_match(project: Project, artifact: str, file: str) -> None:
    """Flips a bit, and makes every record beside the file say what it now is."""
    folder = project.store.path(artifact)
    receipt = project.store.current(artifact)
    assert receipt is not None
    path = folder / file
    flip(path)
    files = dict(receipt.files)
    if (folder / "SHA256SUMS").exists():
        write_sha256sums(folder / "SHA256SUMS", {file: sha256_file(path)})
    for name in (file, "SHA256SUMS"):
        if name in files:
            known = folder / name
            files[name] = FileRecord(known.stat().st_size, sha256_file(known))
    home, forged = folder.parent, replace(receipt, files=files)
    (folder / "receipt.json").write_bytes(forged.to_bytes())
    folder.rename(home / forged.version)
    (home / "current").unlink()
    (home / "current").symlink_to(forged.version)
    assert Receipt.read(home / forged.version / "receipt.json").digest == forged.digest
    assert project.store.mismatches(artifact, deep=True) == [], "the artifact itself looks sound"


def wrong_answers(project: Project, name: str) -> set[str]:
    found = run_checks(project, project.artifacts[name])
    return {finding.name for finding in found if not finding.passed}


def test_weights_with_sums_and_receipt_edited_to_match_are_caught_by_the_chain(
    at_hand: Project,
) -> None:
    edited_to_match(at_hand, CHECKPOINT, WEIGHTS)
    wrong = wrong_answers(at_hand, CHECKPOINT)
    assert "certificate_matches_target" in wrong
    assert "sha256sums_recomputed" not in wrong
    # Also without reading contents: everything that was made from it says so.
    report = verify(at_hand)
    assert not report.sound
    named = {problem.artifact for problem in report.problems}
    assert {f"{CHECKPOINT}_metadata", f"{CHECKPOINT}_certificate", "models/micro-mtp"} <= named
    assert not evaluate(at_hand).open


def test_weights_with_a_certificate_edited_too_are_caught_by_what_was_made_from_them(
    at_hand: Project,
) -> None:
    folder = at_hand.store.path(CHECKPOINT)
    flip(folder / WEIGHTS)
    scan = scan_file(read_header(folder / WEIGHTS))
    certificate = json.loads((folder / "certificate.json").read_bytes())
    certificate["target_sha256"] = scan.sha256
    for tensor in certificate["tensors"]:
        tensor["digest"] = scan.tensors[tensor["name"]]
    (folder / "certificate.json").write_text(json.dumps(certificate, indent=2), encoding="utf-8")
    flip(folder / WEIGHTS)  # `edited_to_match` flips it again

    def record(name: str) -> None:
        receipt = at_hand.store.versions.receipt(CHECKPOINT, folder.name)
        known = FileRecord((folder / name).stat().st_size, sha256_file(folder / name))
        forged = replace(receipt, files={**receipt.files, name: known})
        target = folder.parent / forged.version
        (folder / "receipt.json").write_bytes(forged.to_bytes())
        folder.rename(target)
        (folder.parent / "current").unlink()
        (folder.parent / "current").symlink_to(forged.version)

    record("certificate.json")
    edited_to_match(at_hand, CHECKPOINT, WEIGHTS)
    assert "certificate_matches_target" not in wrong_answers(at_hand, CHECKPOINT)
    # The copy of the certificate, the documents and the slice were made from the real one.
    for made in ("certificate", "metadata", "config"):
        assert "inputs_current" in wrong_answers(at_hand, f"{CHECKPOINT}_{made}")
    assert not verify(at_hand).sound


def test_rows_edited_to_match_are_caught_by_the_statistics_and_the_metadata(
    at_hand: Project,
) -> None:
    edited_to_match(at_hand, SPLIT, "test.jsonl")
    wrong = wrong_answers(at_hand, SPLIT)
    assert "stats_add_up" in wrong
    assert "files_unchanged" not in wrong
    assert "inputs_current" in wrong_answers(at_hand, f"{SPLIT}_metadata")
    assert not verify(at_hand).sound


def test_a_stale_downstream_is_reported_without_reading_contents(at_hand: Project) -> None:
    config = f"{CHECKPOINT}_config"
    recommit(at_hand, config, document("params.json", lambda value: value.update(norm_eps=1e-6)))
    report = verify(at_hand)
    assert not report.sound
    told = {p.artifact: p for p in report.problems if p.check == "inputs_current"}
    assert {f"{CHECKPOINT}_metadata", f"{CHECKPOINT}_adapter", "models/micro-mtp"} <= set(told)
    assert config in told[f"{CHECKPOINT}_adapter"].found
    assert told[f"{CHECKPOINT}_adapter"].hint == f"wmtp materialize {CHECKPOINT}_adapter"


def test_a_catalog_that_moved_closes_the_gate_until_it_is_followed(project: Project) -> None:
    """A new pin, and a new setting, whose files nobody has made yet."""
    catalog = small(project.catalog, "optional")
    rows = catalog.datasets["humaneval"]
    moved = rows.upstream.model_copy(update={"revision": "f" * 40})
    for changed, name, questions in (
        (
            rows.model_copy(update={"upstream": moved}),
            f"{SPLIT}_raw",
            {"fetched_files", "inputs_current"},
        ),
        (
            rows.model_copy(update={"max_tokens": 4096}),
            SPLIT,
            {"inputs_current", "rows_equal_source"},
        ),
    ):
        other = catalog.model_copy(update={"datasets": {"humaneval": changed}})
        asked = Project(other, project.storage, project.hub_spec)
        assert wrong_answers(asked, name) == questions
        assert not evaluate(asked).open
    assert all(finding.passed for finding in quick(project, project.artifacts[SPLIT]))
