"""A finding in a sentence: what the list of checks shows."""

from __future__ import annotations

import re
from typing import Any

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import quick, run_checks
from wmtp_assets.findings import SENTENCE, Check, Finding, Outcome

SAID: list[tuple[bool, Any, Any, str]] = [
    (True, 75, 75, "Tensor count: 75, as expected"),
    (False, 75, 1_074, "Tensor count: 1,074; expected: 75"),
    (True, "a" * 64, "a" * 64, "Tensor count: aaaaaaaaaaaa, as expected"),
    (False, "a" * 64, "b" * 64, "Tensor count: bbbbbbbbbbbb; expected: aaaaaaaaaaaa"),
    (True, {"rows": 381}, {"rows": 381, "correct": 188}, "Rows 381, correct 188, as expected"),
    (False, {"rows": 381}, {"rows": 380}, "Tensor count: rows 380; expected: rows 381"),
    (True, "all of it", "as expected", "All of it: as expected"),
    (True, "every row so", "381 rows, all so", "Every row so: 381 rows, all so"),
    (False, "every row so", "line 3", "Line 3; expected: every row so"),
    (True, "is_correct in all", "as expected", "is_correct in all: as expected"),
    (True, {"finite": True}, {"finite": True}, "Finite yes, as expected"),
    (False, None, [1, "x"], "Tensor count: (1, x); expected: none"),
    (False, "", "", "Tensor count: ; expected:"),
]


@pytest.mark.parametrize(("passed", "expected", "found", "said"), SAID)
def test_a_finding_in_a_sentence(passed: bool, expected: Any, found: Any, said: str) -> None:
    sentence = Finding("tensor_count", passed, expected, found, "file").sentence
    assert sentence == said


@pytest.mark.parametrize("text", ["x" * 5_000, "\u202e\x1b[31m\n# heading\r\n<b>", "\ud800"])
def test_a_sentence_is_one_short_printable_line(text: str) -> None:
    for passed in (True, False):
        sentence = Finding("name", passed, text, [text], text).sentence
        assert sentence.isprintable()
        assert 0 < len(sentence) <= SENTENCE


def test_there_is_nothing_to_do_where_nothing_failed() -> None:
    for passed in (True, False):
        one: Check[None] = Check(
            "name", "", lambda _, passed=passed: Outcome(passed, 1, 1, "here", hint="do it")
        )
        assert one.of(None).hint == ("" if passed else "do it")


def test_expected_and_found_are_of_one_kind(project: Project) -> None:
    seen = set()
    for artifact in project.artifacts.values():
        if artifact.kind in seen:
            continue
        seen.add(artifact.kind)
        deep = artifact.kind not in ("checkpoint", "tokenizer")  # a model is not executed for this
        findings = run_checks(project, artifact) if deep else quick(project, artifact)
        for finding in findings:
            assert type(finding.expected) is type(finding.found), finding
            assert not re.search(r"[0-9a-f]{13}", finding.sentence), finding.sentence
            assert finding.passed == (not finding.hint), finding
            assert "FAILED" not in finding.sentence
