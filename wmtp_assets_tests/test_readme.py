"""README.md names files that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_answers_to_a_newcomers_questions_are_in_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text.split("## Decisions you may look for\n\n")[1].split("\n\n")[0]
    modules = re.findall(r"`([a-z_/]+(?:/|\.py))`", table)
    pages = re.findall(r"\]\((docs/[^)]+)\)", table)
    assert len(modules) >= 8
    missing = [name for name in modules if not (ROOT / "wmtp_assets" / name).exists()]
    assert missing + [page for page in pages if not (ROOT / page).exists()] == []
