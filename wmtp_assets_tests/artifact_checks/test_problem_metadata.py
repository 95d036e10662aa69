"""The current contract's metadata files as artifacts: made, checked, published and read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wmtp_assets import open_corpus
from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.artifacts.checks.against_source import check_against_source
from wmtp_assets.artifacts.checks.shared import Shared
from wmtp_assets.artifacts.types import Tokenizer
from wmtp_assets.artifacts.verification import verify_all
from wmtp_assets.catalog.artifacts import TOKENIZER, Kind
from wmtp_assets.pages.asset import asset_facts
from wmtp_assets_tests.artifact_checks.breaking import answers, document, failed, recommit
from wmtp_assets_tests.corpora import reference

CODE = "datasets/codecontests_valid_current_metadata"
SMALL = "datasets/codecontests_small_train_current_metadata"
HUMANEVAL = "datasets/humaneval_test_current_metadata"
KINDS = (Kind.SPLIT_METADATA_CURRENT, Kind.SMALL_METADATA_CURRENT)


@pytest.fixture
def both(current_project: Project, tmp_path: Path) -> Project:
    """A copy of the storage of both generations, to break."""
    shutil.copytree(current_project.storage, tmp_path / "storage", symlinks=True)
    return replace(current_project, storage=tmp_path / "storage")


def test_every_file_is_what_the_rows_at_its_path_give(current_project: Project) -> None:
    tokenizer = Tokenizer.load(current_project.store, TOKENIZER).model
    made = [one for one in current_project.artifacts.values() if one.kind in KINDS]
    assert {one.name for one in made} >= {
        CODE,
        SMALL,
        HUMANEVAL,
        "datasets/mbpp_test_current_metadata",
    }
    for artifact in made:
        (path,) = artifact.links
        metadata = current_project.storage / path
        lines = metadata.with_name(metadata.name.replace("_metadata.json", ".jsonl")).read_bytes()
        wanted = reference.problem_metadata(lines.splitlines(keepends=True), tokenizer)
        assert metadata.read_bytes() == wanted, artifact.name


def test_all_checks_pass_with_lines_that_others_read_and_without(current_project: Project) -> None:
    for name in (CODE, SMALL, HUMANEVAL):
        artifact = current_project.artifacts[name]
        together = [artifact, current_project.artifacts[artifact.inputs[0]]]
        findings = verify_all(current_project, together)[name] + run_checks(
            current_project, artifact
        )
        assert [(one.name, one.found) for one in findings if not one.passed] == []
        assert all(one.passed for one in check_against_source(current_project, artifact))


def test_lines_are_read_once_for_both(current_project: Project, monkeypatch: Any) -> None:
    from wmtp_assets.corpora import problem_metadata_checks

    def never(jsonl: Path) -> None:
        raise AssertionError(f"{jsonl} is read again")

    monkeypatch.setattr(problem_metadata_checks, "line_facts", never)
    artifact = current_project.artifacts[CODE]
    shared = Shared([artifact.name, *artifact.inputs])
    assert all(one.passed for one in run_checks(current_project, artifact, shared=shared))


BROKEN: dict[str, tuple[str, Callable[[dict[str, Any]], object], set[str]]] = {
    "an entry": (
        CODE,
        lambda value: value["metadata"][7].update(difficulty=29),
        {"metadata_matches_lines"},
    ),
    "a problem": (
        CODE,
        lambda value: next(iter(value["problem_index_map"].values()))["correct_indices"].reverse(),
        {"problem_map_matches_lines"},
    ),
    "the statistics": (
        HUMANEVAL,
        lambda value: value["stats"].update(n_problems=12),
        {"metadata_stats_add_up"},
    ),
    "the structure": (
        SMALL,
        lambda value: value["metadata"][3].update(is_correct="yes"),
        {"metadata_matches_lines", "metadata_structure"},
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_fails_its_check(what: str, both: Project) -> None:
    name, change, wrong = BROKEN[what]
    (file,) = both.artifacts[name].links.values()
    recommit(both, name, document(file, change))
    assert failed(both, name) == wrong
    found = answers(both, name)
    assert all(f"wmtp materialize {name} --force" in found[one].hint for one in wrong)
    (again,) = check_against_source(both, both.artifacts[name])
    assert not again.passed


def test_a_receipt_states_the_statistics_of_the_file(current_project: Project) -> None:
    receipt = current_project.store.current(CODE)
    assert receipt is not None
    (file,) = receipt.files
    stats = json.loads((current_project.store.path(CODE) / file).read_bytes())["stats"]
    assert receipt.facts == {"rows": stats["total"], **stats}
    page = asset_facts(current_project, receipt)
    assert page["pairs"] == (
        f"{stats['total_possible_pairs']:,} of a correct and an incorrect solution, in "
        f"{stats['n_valid_problems']:,} of {stats['n_problems']:,} problems"
    )
    without = current_project.store.current(HUMANEVAL)
    assert without is not None
    assert asset_facts(current_project, without)["pairs"] == "none: no classes"


@pytest.mark.parametrize("contract", ["phase1", "current"])
@pytest.mark.parametrize(
    ("dataset", "split"),
    [("codecontests", "valid"), ("humaneval", "test"), ("codecontests_small", "train")],
)
def test_a_corpus_opens_with_the_metadata_of_its_generation(
    current_project: Project, contract: Any, dataset: str, split: str
) -> None:
    corpus = open_corpus(current_project.storage, dataset, split, contract)
    corpus.verify()
    document = json.loads(corpus.metadata.read_bytes())
    has_map = contract == "current" or dataset.endswith("_small")
    assert ("problem_index_map" in document) == has_map
    if has_map:
        assert dict(corpus.problem_index_map) == document["problem_index_map"]
