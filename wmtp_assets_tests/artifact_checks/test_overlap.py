"""Texts that splits share are told with counts and examples, and close nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.artifacts.checks.overlap import evaluation_splits
from wmtp_assets.artifacts.checks.shared import Shared
from wmtp_assets.artifacts.gate import evaluate
from wmtp_assets.artifacts.identity import identity_of
from wmtp_assets.corpora import row_scan
from wmtp_assets_tests.artifact_checks.breaking import answers, flip, recommit, record, rows

CODE, MBPP, HUMANEVAL = (
    f"datasets/{name}_schema" for name in ("codecontests", "mbpp", "humaneval")
)
SHARED, APART = "overlap_between_splits", "training_apart_from_evaluation"


def row(project: Project, name: str, at: int) -> dict[str, Any]:
    path = next(project.store.path(name).glob("*.jsonl"))
    value: dict[str, Any] = json.loads(path.read_bytes().splitlines()[at])
    return value


def texts(project: Project, name: str, field: str) -> set[str]:
    path = next(project.store.path(name).glob("*.jsonl"))
    return {"".join(json.loads(line)[field].split()) for line in path.read_bytes().splitlines()}


def test_what_splits_share_is_counted_and_no_failure(project: Project) -> None:
    """The sample's MBPP has some tasks in several splits."""
    found = answers(project, MBPP)[SHARED]
    assert (found.passed, found.blocking) == (True, False)
    for one, two in (("train", "validation"), ("train", "test"), ("validation", "test")):
        counts = found.details[f"{one}, {two}"]
        for field in ("instruction", "output"):
            sides = [texts(project, f"datasets/mbpp_{split}", field) for split in (one, two)]
            assert counts[field]["texts"] == len(sides[0] & sides[1]) > 0
            assert counts[field]["texts"] >= counts[field]["verbatim"]
    assert "train and validation share" in str(found.found)
    example = counts["instruction"]["examples"][0]
    first, _, told = example.partition(": ")
    line = int(first.split()[1])
    assert row(project, "datasets/mbpp_validation", line)["instruction"].startswith(told)
    assert answers(project, HUMANEVAL)[SHARED].found == "there is nothing to compare with"


@pytest.mark.parametrize("schema", [CODE, MBPP, HUMANEVAL])
def test_training_is_apart_from_evaluation_in_the_sample(project: Project, schema: str) -> None:
    found = answers(project, schema)[APART]
    pairs = {CODE: "3 pairs", MBPP: "1 pair of", HUMANEVAL: "nothing to compare"}
    assert found.passed
    assert pairs[schema] in str(found.found)


def test_a_training_row_of_an_evaluation_set_is_warned_of(copied: Project) -> None:
    task = row(copied, "datasets/humaneval_test", 3)
    spread = task["output"].replace("\n", "\r\n\n")
    change = record(5, lambda value: value.update(output=f"  {spread}\n"))
    recommit(copied, "datasets/codecontests_train", rows(change))
    again = record(7, lambda value: value.update(instruction=task["instruction"]))
    recommit(copied, "datasets/codecontests_train", rows(again))
    found = answers(copied, CODE)[APART]
    assert (found.passed, found.blocking) == (False, False)
    counts = found.details["train, humaneval test"]
    assert (counts["output"]["texts"], counts["output"]["verbatim"]) == (1, 0)
    assert (counts["instruction"]["texts"], counts["instruction"]["verbatim"]) == (1, 1)
    assert counts["output"]["examples"][0].startswith("line 5 of train, line 3 of humaneval test: ")
    assert str(found.found) == (
        "train and humaneval test share 1 instruction (1 verbatim) and 1 output (0 verbatim)"
    )
    assert answers(copied, MBPP)[APART].passed
    reasons = [reason.check for one in evaluate(copied).conditions for reason in one.reasons]
    assert APART in reasons


def test_an_evaluation_set_that_is_not_here_yet_is_left_out(copied: Project) -> None:
    before = identity_of(copied, copied.artifacts[CODE])
    assert before is not None
    assert identity_of(copied, copied.artifacts[CODE]) == before
    shutil.rmtree(copied.store.versions.home("datasets/humaneval_test"))
    assert "in 2 pairs" in str(answers(copied, CODE)[APART].found)
    after = identity_of(copied, copied.artifacts[CODE])
    assert after is not None
    assert after != before


def test_a_split_that_cannot_be_read_is_left_to_its_own_checks(copied: Project) -> None:
    flip(next(copied.store.path("datasets/mbpp_train").glob("*.index.parquet")), at=-1)
    found = answers(copied, MBPP)
    assert found[SHARED].details.keys() == {"validation, test"}
    assert "nothing to compare with" in str(found[APART].found)


def test_lines_are_read_once_with_those_of_the_splits(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    scan = row_scan.scan_rows

    def counted(jsonl: Path, *others: Any) -> Any:
        read.append(jsonl.name)
        return scan(jsonl, *others)

    monkeypatch.setattr(row_scan, "scan_rows", counted)
    shared = Shared(project.artifacts)
    for name in (MBPP, *project.artifacts[MBPP].inputs):
        run_checks(project, project.artifacts[name], shared=shared)
    assert sorted(read) == ["test.jsonl", "test.jsonl", "train.jsonl", "validation.jsonl"]


def test_evaluation_sets_are_those_without_classes_in_the_schemas_generation(
    current_project: Project,
) -> None:
    def names(schema: str) -> list[str]:
        return [
            one.name
            for one in evaluation_splits(current_project, current_project.artifacts[schema])
        ]

    first = ["datasets/mbpp_validation", "datasets/mbpp_test", "datasets/humaneval_test"]
    assert sorted(names(CODE)) == sorted(first)
    now = ["datasets/mbpp_validation_current", "datasets/mbpp_test_current", first[-1]]
    assert sorted(names(f"{CODE}_current")) == sorted(now)
    assert names(HUMANEVAL) == []
    alone = replace(
        current_project,
        catalog=current_project.catalog.model_copy(
            update={"datasets": {"humaneval": current_project.catalog.datasets["humaneval"]}}
        ),
    )
    assert evaluation_splits(alone, alone.artifacts[HUMANEVAL]) == []
