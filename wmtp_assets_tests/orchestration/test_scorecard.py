"""The gate on Dagster's pages: short, in place, and with nothing of upstream in Markdown."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from urllib.parse import unquote

import dagster as dg
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.artifacts.gate import Verdict, judge, owners_of
from wmtp_assets.catalog.identity import Identity
from wmtp_assets.cli.report import scorecard_text
from wmtp_assets.findings import CheckResult, Finding
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.orchestration.assets.ready import ready_key, ready_keys
from wmtp_assets.orchestration.checks.artifacts import shown
from wmtp_assets.orchestration.presentation import WHAT_TO_DO
from wmtp_assets.orchestration.scorecard import (
    condition_facts,
    conditions_table,
    readiness,
    scorecard,
    verdict_card,
    verdict_facts,
    verdict_line,
    verdict_on_page,
)

UPSTREAM = "![x](http://elsewhere/?token) <script>"


@pytest.fixture
def verdict(project: Project) -> Verdict:
    """The gate's answer on the sample."""
    return Verdict.from_json(json.loads(project.report.read_bytes()))


@pytest.fixture
def closed(project: Project) -> Verdict:
    """A verdict for which every check of everything failed, in upstream's words."""
    finding = Finding("files_unchanged", False, UPSTREAM, UPSTREAM, UPSTREAM, hint="wmtp gate")
    found = {
        name: [replace(finding, found=f"{UPSTREAM} {name} {'x' * 500}")]
        for name in project.artifacts
    }
    warning = replace(finding, name="metadata_structure", blocking=False)
    found["datasets/mbpp_test_metadata"].append(warning)
    return judge(project, found, links=[])


def test_the_answer_comes_first_and_in_place(verdict: Verdict) -> None:
    text = scorecard(verdict)
    assert text.startswith("![OPEN: 11 of 11](data:image/svg+xml,")
    digest = verdict.catalog.digest[:12]
    assert f"Catalog **sample**, as shipped (digest {digest}). It is the sample: small " in text
    assert f"Computed {verdict.evaluated_at[:10]} " in text
    assert "first phase, required 5 of 5; also required 6 of 6; " in text
    assert "first phase, recommended 3 of 3; also recommended 2 of 2." in text
    assert len(text) < 1000, "longer Markdown is hidden behind a link"


def test_a_closed_gate_is_red_with_a_square_for_each_condition(closed: Verdict) -> None:
    text = scorecard(closed)
    assert text.startswith("![CLOSED: 2 of 11](")
    picture = unquote(text)
    assert "#b91c1c" in picture
    assert picture.count("h9v9h-9z") == 11
    assert len(text) < 1000


def test_nothing_of_upstream_reaches_markdown(closed: Verdict) -> None:
    hostile = replace(closed, catalog=Identity("a](http://b) <script>`", "0" * 64, None))
    assert "elsewhere" not in scorecard(hostile)
    assert "](http" not in scorecard(hostile)
    assert "<script" not in scorecard(hostile)
    for facts in (verdict_facts(closed), condition_facts(closed.conditions[0])):
        assert not [one for one in facts.values() if isinstance(one, dg.MarkdownMetadataValue)]
    assert "elsewhere" not in readiness(closed.conditions[0], ["models/x"])


def test_the_first_reason_and_the_command_are_shown_on_failure_only(
    verdict: Verdict, closed: Verdict
) -> None:
    facts = verdict_facts(closed)
    assert str(facts["first reason"].value).startswith("models/tokenizer_raw: files_unchanged: ")
    assert facts["what to do"].value == "wmtp gate"
    assert not {"first reason", "what to do"} & verdict_facts(verdict).keys()
    assert verdict_line(closed).startswith("CLOSED: 2 of 11 required conditions are met. ")


def test_the_table_is_short_and_names_the_eight_below_their_headings(closed: Verdict) -> None:
    rows = [record.data for record in conditions_table(closed).records]
    assert {len(row) for row in rows} == {3}
    met = replace(closed, conditions=tuple(replace(one, reasons=()) for one in closed.conditions))
    assert {tuple(one.data) for one in conditions_table(met).records} == {("condition", "met")}
    narrow = verdict_card(closed)["of each condition"]
    assert {tuple(record.data) for record in narrow.records} == {("condition", "met")}
    assert max(len(str(row["reasons"])) for row in rows) < 145
    names = [str(row["condition"]) for row in rows]
    assert names[:3] == ["FIRST PHASE, REQUIRED", "meta-llama-mtp ready", "codecontests ready"]
    after = names.index("FIRST PHASE, RECOMMENDED")
    assert names[after + 1 : after + 4] == [
        "safetensors save and load",
        "tokenizer shared with the reference model",
        "metadata structure",
    ]


def test_each_ready_asset_shows_its_own_artifacts(project: Project, verdict: Verdict) -> None:
    keys = ready_keys(project)
    assert set(keys) == {ready_key(owner) for owner in owners_of(project)}
    names = keys[ready_key("humaneval")]
    (condition,) = [one for one in verdict.conditions if one.name == "humaneval_ready"]
    text = readiness(condition, names)
    assert text.startswith(f"![READY: {len(names)} of {len(names)}](")
    assert len(text) < 1000
    broken = replace(condition, reasons=(judge_reason("datasets/humaneval_test"),))
    assert f"![NOT READY: {len(names) - 1} of {len(names)}]" in readiness(broken, names)
    assert condition_facts(broken)["found"] == "not passed: datasets/humaneval_test"


def judge_reason(artifact: str) -> CheckResult:
    return CheckResult.of(artifact, Finding("row_counts", False, 12, 11, "a/file", hint="do it"))


def test_the_terminal_ends_with_the_same_scorecard(verdict: Verdict, closed: Verdict) -> None:
    lines = scorecard_text(verdict).splitlines()
    assert lines[-1].startswith("The gate is OPEN: 11 of 11 required conditions are met, by ")
    assert "the generated sample" in lines[-2]
    start = lines.index("first phase, required: 5 of 5 met")
    shown = {line.split("  ")[1].strip() for line in lines[start:-2] if line.startswith("  ")}
    assert shown == {"met"}
    words = {line[2:10].strip() for line in scorecard_text(closed).splitlines()}
    assert words >= {"NOT MET", "warns"}
    titles = [one.title for group in verdict.groups().values() for one in group]
    body = [line for line in lines[start:-2] if line.startswith("  ")]
    assert len(body) == len(titles)
    assert all(title in line for title, line in zip(titles, body, strict=True))
    assert max(map(len, lines[start:-2])) <= 100


BROKEN = ("models/micro-mtp", "datasets/humaneval_test", "models/tokenizer")


@pytest.fixture
def damaged(copied: Project) -> dict[str, list[Finding]]:
    """Findings on artifacts of which a file was removed, emptied or made a folder."""
    first, second, third = (copied.store.path(name) for name in BROKEN)
    (first / "model.safetensors").unlink()
    (second / "test.jsonl").write_bytes(b"")
    (third / "tokenizer.model").unlink()
    (third / "tokenizer.model").mkdir()
    return {name: run_checks(copied, copied.artifacts[name]) for name in BROKEN}


def test_a_check_that_is_stopped_says_everything_in_its_place(
    copied: Project, damaged: dict[str, list[Finding]]
) -> None:
    missing = str(copied.store.path(BROKEN[0]) / "model.safetensors")
    stopped = {one.name: one for one in damaged[BROKEN[0]]}
    assert all(not one.passed for one in stopped.values()), "none can be asked of a missing file"
    for one in stopped.values():
        assert one.where == missing
        assert one.found == f"{BROKEN[0]} is not as its receipt says: nothing"
        assert re.fullmatch(r"[\d,]+ bytes", str(one.expected)), one.expected
        assert not re.search("Expected:|Found:|Where:", one.sentence)


def test_no_page_of_a_check_shows_a_path_of_this_machine(
    copied: Project, damaged: dict[str, list[Finding]]
) -> None:
    """But for commands, which are to be copied as they are."""
    root = str(copied.store.root)
    failed = [
        (name, one) for name, findings in damaged.items() for one in findings if not one.passed
    ]
    assert any(root in f"{one.found} {one.where}" for _, one in failed), "what this is about"
    for name, finding in failed:
        result = shown(key_of(name), finding, copied.store.root)
        texts = [result.description] + [
            value for label, value in result.metadata.items() if label != WHAT_TO_DO
        ]
        assert not [one for one in texts if root in str(one)], finding.name
        if finding.hint:
            assert result.metadata[WHAT_TO_DO].value == finding.hint
    every: dict[str, list[Finding]] = {name: [] for name in copied.artifacts}
    verdict = judge(copied, every | damaged, links=[])
    page = verdict_on_page(verdict, copied.store.root)
    assert root in str(verdict_facts(verdict)["first reason"])
    for facts in (verdict_facts(page), verdict_card(page)):
        assert facts.pop(WHAT_TO_DO) == verdict_facts(verdict)[WHAT_TO_DO]
        assert root not in str(facts)
