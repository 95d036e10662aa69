"""A run where the kernel confines no program: nothing is executed, and the gate is open."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog.dataset_entries import Execution, Quality
from wmtp_assets.corpora.opening import open_corpus
from wmtp_assets_tests.artifacts.editions import ROWS
from wmtp_assets_tests.orchestration import tiny

VERDICTS = f"datasets/{ROWS}_test_verdicts"
WRAPPED = (sys.executable, "-m", "wmtp_assets_tests.orchestration.without_sandbox")


@pytest.fixture
def world(project: Project, tmp_path: Path) -> tiny.Tiny:
    """The rows of one split, whose references are to be executed."""
    made = tiny.rows(project, tmp_path)
    catalog = made.project.catalog
    quality = Quality(execute=Execution(rows={"test": "all"}))
    dataset = catalog.datasets[ROWS].model_copy(update={"quality": quality})
    text = tiny.catalog_text(catalog.model_copy(update={"datasets": {ROWS: dataset}}))
    made.catalog.write_text(text, encoding="utf-8")
    return made


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter is for x86-64")
def test_nothing_is_executed_and_the_run_says_why(world: tiny.Tiny) -> None:
    def materialize(*before: str) -> str:
        done = subprocess.run(
            [*before, str(tiny.BIN / "wmtp"), "materialize", f"group:{ROWS}"],
            env=world.environment(),
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "The gate is OPEN" in done.stdout
        return done.stdout + done.stderr

    said = materialize(*WRAPPED)
    assert re.search(rf"No row of {VERDICTS} is executed\. .*(?i:landlock)", said), said
    assert "executed" in said.partition("warning")[2]
    corpus = open_corpus(world.storage, ROWS, "test")
    assert {str(verdict) for verdict in corpus.column("verdict")} == {"not_runnable"}

    assert f"made {VERDICTS}" in materialize()  # a machine that can, does
    corpus = open_corpus(world.storage, ROWS, "test")
    assert {str(verdict) for verdict in corpus.column("verdict")} == {"passed"}

    assert f"made {VERDICTS}" not in materialize(*WRAPPED)  # and nothing is undone
    corpus = open_corpus(world.storage, ROWS, "test")
    assert {str(verdict) for verdict in corpus.column("verdict")} == {"passed"}
