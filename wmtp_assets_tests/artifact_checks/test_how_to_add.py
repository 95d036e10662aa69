"""docs/how-to-add-a-check.md, executed: the check that it adds is seen wherever checks are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts import checks as package
from wmtp_assets.artifacts.checks import add_check, checks_of, run_checks
from wmtp_assets.artifacts.gate import evaluate
from wmtp_assets.artifacts.verify import verify
from wmtp_assets.catalog.artifacts import Kind
from wmtp_assets.definitions import build_defs
from wmtp_assets.findings import Outcome, check
from wmtp_assets_tests.artifact_checks.breaking import recommit, record, rows

PAGE = Path(__file__).parents[2] / "docs" / "how-to-add-a-check.md"
SPLIT = "datasets/humaneval_test"
NAME = "outputs_not_empty"


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The page's check, added as the page says; gone again after the test."""
    monkeypatch.setattr(package, "_ADDED", {})
    space: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(code, space)  # noqa: S102 - the page's own code
    return space[NAME]


def test_the_pages_check_is_dagsters_with_its_words_and_severity(
    added: Any, project: Project
) -> None:
    defs = build_defs(project.catalog, project.hub_spec, project.storage)
    graph = defs.resolve_asset_graph()
    key = dg.AssetCheckKey(dg.AssetKey(SPLIT.split("/")), NAME)
    spec = graph.get_check_spec(key)
    assert (spec.description, spec.blocking) == ("No row has an empty output.", False)
    other = dg.AssetKey(f"{SPLIT}_metadata".split("/"))
    assert dg.AssetCheckKey(other, NAME) not in graph.asset_check_keys


def test_the_pages_check_warns_in_verify_and_in_the_gate(added: Any, copied: Project) -> None:
    found = {one.name: one for one in run_checks(copied, copied.artifacts[SPLIT])}
    assert found[NAME].passed
    recommit(copied, SPLIT, rows(record(4, lambda value: value.update(output=""))))
    found = {one.name: one for one in run_checks(copied, copied.artifacts[SPLIT])}
    assert not found[NAME].passed
    assert "none in 1 rows, such as line 4" in str(found[NAME].found)
    told = [p for p in verify(copied, deep=True).problems if p.check == NAME]
    assert [(problem.artifact, problem.blocking) for problem in told] == [(SPLIT, False)]
    (recommended,) = [c for c in evaluate(copied).conditions if c.name == "recommended"]
    assert NAME in {reason.check for reason in recommended.reasons}


def test_an_added_check_that_blocks_closes_the_gate_with_the_command(
    monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    monkeypatch.setattr(package, "_ADDED", {})

    @check("It is Tuesday.")
    def is_tuesday(subject: package.Subject) -> Outcome:
        return Outcome(False, "Tuesday", "Monday", str(subject.folder))

    add_check(is_tuesday, Kind.SCHEMA)
    schema = project.artifacts["datasets/mbpp_schema"]
    finding = {one.name: one for one in run_checks(project, schema)}["is_tuesday"]
    assert finding.blocking
    assert finding.hint == "wmtp materialize datasets/mbpp_schema --force"
    assert not evaluate(project).open


def test_two_checks_of_one_name_are_refused(
    monkeypatch: pytest.MonkeyPatch, project: Project
) -> None:
    monkeypatch.setattr(package, "_ADDED", {})

    @check("Anything.")
    def anything(subject: package.Subject) -> Outcome:
        return Outcome(True, "", "", "")

    add_check(anything, Kind.SCHEMA)
    with pytest.raises(ValueError, match="a check named anything already"):
        add_check(anything, Kind.SCHEMA)
    names = [one.name for a in project.artifacts.values() for one in checks_of(project, a)]
    assert names.count("anything") == sum(
        artifact.kind is Kind.SCHEMA for artifact in project.artifacts.values()
    )
