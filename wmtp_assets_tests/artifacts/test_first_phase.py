"""The eight conditions of the first phase: each is computed from files, and broken once here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.artifacts.gate import FIRST_PHASE, Condition, Verdict, judge
from wmtp_assets.artifacts.structure import ModelMetadata, SplitMetadata, structure_fault
from wmtp_assets.findings import Finding
from wmtp_assets.storage.digests import sha256_file
from wmtp_assets_tests.artifact_checks.breaking import document, flip, recommit
from wmtp_assets_tests.remedies.breaks import stats_off, trailing, wrong_sum

MTP, REF = "models/meta-llama-mtp", "models/ref-sheared-llama-2.7b"
SPLIT = "datasets/codecontests_valid"
OWN = "models/princeton-nlp/Sheared-LLaMA-2.7B/tokenizer.model"
REQUIRED = {
    "meta-llama-mtp_ready": "meta-llama-mtp ready",
    "codecontests_ready": "codecontests ready",
    "metadata_files": "metadata files",
    "sha256_verified": "SHA-256 verified",
    "dtype_kept": "dtype float16 kept",
}
RECOMMENDED = {
    "safetensors_round_trip": "safetensors save and load",
    "tokenizer_shared": "tokenizer shared with the reference model",
    "metadata_structure": "metadata structure",
}


def of(verdict: Verdict, name: str) -> Condition:
    (found,) = [one for one in verdict.conditions if one.name == name]
    return found


def verdict_with(project: Project, name: str, found: list[Finding]) -> Verdict:
    """The gate's verdict if nothing but the findings on `name` were there."""
    quiet: dict[str, list[Finding]] = {one: [] for one in project.artifacts}
    return judge(project, quiet | {name: found}, links=[])


def test_the_report_states_the_eight_by_their_names_and_what_each_is_computed_from(
    project: Project,
) -> None:
    report = json.loads(project.report.read_bytes())
    eight = {one["name"]: one for one in report["conditions"] if one["first_phase"]}
    assert {name: one["title"] for name, one in eight.items()} == REQUIRED | RECOMMENDED
    assert eight.keys() == FIRST_PHASE
    assert {name for name, one in eight.items() if one["required"]} == REQUIRED.keys()
    for name, one in eight.items():
        assert one["met"], name
        assert one["results"] >= 2, name
        assert one["computed_from"], name
    assert eight["dtype_kept"]["computed_from"] == ["dtype_of_every_tensor"]
    assert eight["dtype_kept"]["results"] == 4, "of the required checkpoints"
    assert eight["metadata_structure"]["results"] == 4 + 10
    assert "fetched_files" in eight["codecontests_ready"]["computed_from"]


def other_dtype(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data.replace(b'"F16"', b'"I16"', 1))


def own_tokenizer_flipped(project: Project) -> None:
    flip(project.store.upstream / OWN, 3)


def remade(name: str, change: Callable[[Path], object]) -> Callable[[Project], None]:
    def at(folder: Path) -> None:
        change(folder)

    return lambda project: recommit(project, name, at)


def without_dtype(value: dict[str, Any]) -> None:
    del value["dtype"]


@pytest.fixture(scope="module")
def damaged(sample: Path, project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("first-phase") / "storage"
    shutil.copytree(sample / "storage", folder, symlinks=True)
    return Project(project.catalog, folder, project.hub_spec)


@pytest.mark.parametrize(
    ("condition", "artifact", "damage", "check"),
    [
        (
            "meta-llama-mtp_ready",
            f"{MTP}_config",
            remade(f"{MTP}_config", document("params.json", lambda v: v.update(dim=128))),
            "config_describes_tensors",
        ),
        (
            "codecontests_ready",
            "datasets/codecontests_schema",
            remade(
                "datasets/codecontests_schema",
                document("schema.json", lambda v: v["properties"].pop("is_correct")),
            ),
            "schema_is_ours",
        ),
        (
            "metadata_files",
            f"{SPLIT}_metadata",
            remade(f"{SPLIT}_metadata", document("valid_metadata.json", stats_off)),
            "metadata_stats_add_up",
        ),
        ("sha256_verified", MTP, remade(MTP, wrong_sum), "sha256sums_recomputed"),
        ("dtype_kept", REF, remade(REF, other_dtype), "dtype_of_every_tensor"),
        (
            "safetensors_round_trip",
            "models/micro-mtp",
            remade("models/micro-mtp", trailing),
            "safetensors_round_trip",
        ),
        ("tokenizer_shared", f"{REF}_metadata", own_tokenizer_flipped, "tokenizer_file_shared"),
        (
            "metadata_structure",
            f"{MTP}_metadata",
            remade(f"{MTP}_metadata", document("metadata.json", without_dtype)),
            "metadata_structure",
        ),
        (
            "metadata_structure",
            "datasets/mbpp_test_metadata",
            remade(
                "datasets/mbpp_test_metadata",
                document("test_metadata.json", lambda v: v["metadata"][3].update(difficulty="A")),
            ),
            "metadata_structure",
        ),
    ],
)
def test_what_breaks_a_condition_is_its_reason(
    damaged: Project,
    condition: str,
    artifact: str,
    damage: Callable[[Project], None],
    check: str,
) -> None:
    damage(damaged)
    found = run_checks(damaged, damaged.artifacts[artifact])
    verdict = verdict_with(damaged, artifact, found)
    unmet = of(verdict, condition)
    assert not unmet.met
    assert check in unmet.computed_from
    assert artifact in {reason.artifact for reason in unmet.reasons}
    (failed,) = [one for one in found if one.name == check]
    assert not failed.passed
    assert str(failed.found) in {reason.found for reason in unmet.reasons}
    assert all(reason.hint for reason in unmet.reasons)


@pytest.mark.parametrize("name", RECOMMENDED)
def test_one_that_is_recommended_warns_and_closes_nothing(project: Project, name: str) -> None:
    check = {"tokenizer_shared": "tokenizer_file_shared"}.get(name, name)
    finding = Finding(check, False, "the same", "another", "a/file", blocking=False)
    verdict = verdict_with(project, f"{REF}_metadata", [finding])
    assert verdict.open
    assert not of(verdict, name).met
    assert of(verdict, "recommended").met, "it is named once"
    assert Verdict.from_json(json.loads(json.dumps(verdict.to_json()))) == verdict


def test_another_tokenizer_file_that_gives_the_same_ids_is_a_warning(copied: Project) -> None:
    path = copied.store.upstream / OWN
    path.write_bytes(path.read_bytes() + b"\x12\x00")  # an empty trainer_spec more
    facts = {"size": path.stat().st_size, "sha256": sha256_file(path)}
    arrived = document("fetched.json", lambda v: v["files"]["tokenizer.model"].update(facts))
    recommit(copied, f"{REF}_raw", arrived)
    found = run_checks(copied, copied.artifacts[f"{REF}_metadata"])
    failed = {one.name: one.found for one in found if not one.passed}
    assert failed.keys() == {"tokenizer_file_shared"}, failed
    verdict = verdict_with(copied, f"{REF}_metadata", found)
    assert verdict.open
    (reason,) = of(verdict, "tokenizer_shared").reasons
    assert reason.where == str(path)


def test_a_report_of_an_earlier_version_is_still_read(project: Project) -> None:
    report = json.loads(project.report.read_bytes())
    for condition in report["conditions"]:
        for added in ("title", "first_phase", "computed_from", "results"):
            del condition[added]
    verdict = Verdict.from_json(report)
    assert verdict.open
    assert of(verdict, "dtype_kept").title == "dtype_kept"


ENTRY = {"is_correct": True, "difficulty": 3}
STATS: dict[str, Any] = {"total": 1, "correct": 1, "incorrect": 0, "difficulty_dist": {"3": 1}}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, ""),
        ({"metadata": [{}], "stats": {**STATS, "difficulty_dist": {}}}, ""),
        ({"metadata": [{"difficulty": None}]}, "metadata.0.difficulty"),
        ({"stats": {**STATS, "difficulty_dist": {"null": 1}}}, "stats.difficulty_dist.null"),
        ({"metadata": [{"is_correct": None, "difficulty": 3}]}, "metadata.0.is_correct"),
        ({"metadata": [ENTRY, {**ENTRY, "note": 1}]}, "metadata.1.note: Extra inputs"),
        ({"metadata": {"0": ENTRY}}, "metadata: Input should be a valid list"),
        ({"stats": {**STATS, "total": True}}, "stats.total"),
        ({"stats": {**STATS, "total": -1}}, "stats.total"),
        ({"stats": {**STATS, "difficulty_dist": {"easy": 1}}}, "stats.difficulty_dist.easy"),
        ({"stats": {k: v for k, v in STATS.items() if k != "correct"}}, "stats.correct"),
    ],
)
def test_the_structure_of_a_splits_metadata(changed: dict[str, object], says: str) -> None:
    fault = structure_fault(SplitMetadata, {"metadata": [ENTRY], "stats": STATS} | changed)
    assert fault.startswith(says)
    assert bool(fault) is bool(says)


def test_the_structure_of_a_models_metadata(project: Project) -> None:
    for name in ("meta-llama-mtp", "starling-rm-7b", "micro-ref"):
        path = project.storage / f"models_v2/{name}/metadata.json"
        sound = json.loads(path.read_bytes())
        assert structure_fault(ModelMetadata, sound) == ""
        for field in ("name", "layout", "dtype", "parameters", "sha256", "conversion"):
            fault = structure_fault(ModelMetadata, {k: v for k, v in sound.items() if k != field})
            assert fault == f"{field}: Field required"
        digests = {**sound["sha256"], "tokenizer.model": "none"}
        fault = structure_fault(ModelMetadata, sound | {"sha256": digests})
        assert fault.startswith("sha256.tokenizer.model: ")
        assert structure_fault(ModelMetadata, sound | {"more": {"nested": 1}}).startswith("more")
    assert structure_fault(ModelMetadata, []).startswith("the document: ")
