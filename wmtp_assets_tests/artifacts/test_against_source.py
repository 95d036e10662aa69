"""`wmtp verify --against-source` finds any change, also what a sample of a large source misses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.artifacts.checks.against_source import check_against_source
from wmtp_assets.artifacts.verify import verify
from wmtp_assets.corpora import source_comparison
from wmtp_assets_tests.artifact_checks.breaking import Change, document, values
from wmtp_assets_tests.artifacts.resealing import Row, reseal, split
from wmtp_assets_tests.artifacts.sweeping import digest_of_tree

CODE, SMALL = "datasets/codecontests_valid", "datasets/codecontests_small_train"
REF = "models/ref-sheared-llama-2.7b"


def one_character(rows: list[Row]) -> None:
    rows[40]["record"]["output"] += "\n# changed"


def reversed_rows(rows: list[Row]) -> None:
    rows.reverse()


def another_rating(rows: list[Row]) -> None:
    rows[40]["cf_rating"] += 100


def rows_of(project: Project, change: Callable[[list[Row]], object]) -> Change:
    tokenizer = project.store.path("models/tokenizer") / "tokenizer.model"
    return split(tokenizer, change)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every source counts as a large one."""
    monkeypatch.setattr(source_comparison, "SMALL_SOURCE", 0)


def rows_equal(project: Project, seed: int | None = None) -> tuple[bool, str]:
    finding = next(
        f
        for f in run_checks(project, project.artifacts[CODE], seed)
        if f.name == source_comparison.NAME
    )
    return finding.passed, str(finding.found)


def test_a_sound_storage_passes_and_nothing_in_it_is_written(at_hand: Project) -> None:
    before = digest_of_tree(at_hand.storage)
    report = verify(at_hand, against_source=True)
    assert report.sound, report.text()
    assert digest_of_tree(at_hand.storage) == before


@pytest.mark.parametrize("change", [reversed_rows, another_rating])
def test_what_is_wrong_with_a_large_split_as_a_whole_is_found_by_its_index(
    at_hand: Project,
    large: None,
    change: Callable[[list[Row]], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert rows_equal(at_hand)[0]
    monkeypatch.setattr(source_comparison, "SAMPLED_GROUPS", 0)
    reseal(at_hand, CODE, rows_of(at_hand, change))
    passed, found = rows_equal(at_hand)
    assert not passed
    assert "line" in found


def test_a_sample_of_a_large_source_finds_what_it_draws_and_its_seed_repeats_it(
    at_hand: Project, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_comparison, "SAMPLED_PROBLEMS", 3)
    reseal(at_hand, CODE, rows_of(at_hand, one_character))
    found = {seed: rows_equal(at_hand, seed) for seed in range(16)}
    assert {seed: rows_equal(at_hand, seed) for seed in found} == found
    assert {passed for passed, _ in found.values()} == {True, False}
    for seed, (passed, said) in found.items():
        assert f"seed {seed}" in said
        assert passed or "output" in said
    # Everything made again needs no luck.
    report = verify(at_hand, against_source=True)
    assert {p.artifact for p in report.problems if p.blocking} == {CODE}


def metadata_off(folder: Path) -> None:
    path = folder / "valid_metadata.json"
    value = json.loads(path.read_bytes())
    value["metadata"].insert(0, value["metadata"].pop())
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")


CHANGES: dict[str, tuple[str, Callable[[Project], Change], set[str]]] = {
    "rows": (CODE, lambda p: rows_of(p, one_character), {CODE}),
    "rows of the small copy": (SMALL, lambda p: rows_of(p, one_character), {SMALL}),
    "metadata": (f"{CODE}_metadata", lambda p: metadata_off, {CODE}),
    "statistics": (
        CODE,
        lambda p: document("valid_stats.json", lambda v: v["funnel"].update(too_long_by_bound=99)),
        {CODE},
    ),
    "a value": (
        REF,
        lambda p: values("model.norm.weight", lambda v: v.__setitem__(3, np.float16(0.5))),
        {REF},
    ),
    "a config": (
        f"{REF}_config",
        lambda p: document("config.json", lambda v: v.update(rms_norm_eps=1e-3)),
        {f"{REF}_config"},
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_any_change_is_found_without_a_deep_look(at_hand: Project, large: None, case: str) -> None:
    name, change, wrong = CHANGES[case]
    reseal(at_hand, name, change(at_hand))
    assert verify(at_hand).sound, "records and links all agree"
    for one in wrong:  # the tests above make everything again
        findings = check_against_source(at_hand, at_hand.artifacts[one])
        assert any(finding.blocking and not finding.passed for finding in findings), findings
