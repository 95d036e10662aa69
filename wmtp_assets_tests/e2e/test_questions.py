"""docs/ten-questions.md lists what the test in a browser asks and takes pictures of."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.e2e.questions import QUESTIONS

DOCS = Path(__file__).parents[2] / "docs"
MOST_BYTES = {"question": 1_000_000, "lineage": 200_000}


def test_every_question_is_listed_with_its_clicks_and_picture() -> None:
    listed = (DOCS / "ten-questions.md").read_text("utf-8")
    assert len(QUESTIONS) == 10
    for one in QUESTIONS:
        line = next(line for line in listed.splitlines() if line.startswith(f"| {one.asked} |"))
        assert f"`{one.group}`, `{one.asset}`" in line
        assert f"(images/question-{one.picture}.png)" in line


def test_pictures_are_small_and_each_is_used() -> None:
    pictures = {path.name: path.stat().st_size for path in (DOCS / "images").iterdir()}
    questions = {f"question-{one.picture}.png" for one in QUESTIONS}
    assert set(pictures) == questions | {"lineage.png"}
    assert sum(pictures[name] for name in questions) <= MOST_BYTES["question"]
    assert pictures["lineage.png"] <= MOST_BYTES["lineage"]
    for readme in ("README.md", "README.ko.md"):
        assert "(docs/images/lineage.png)" in (DOCS.parent / readme).read_text("utf-8")
