"""`python -OO`, which strips asserts and docstrings, changes no answer."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import wmtp_assets
from wmtp_assets.artifacts import Project
from wmtp_assets_tests.orchestration import tiny

PACKAGE = Path(wmtp_assets.__file__).parent


def optimized(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-OO", "-m", "wmtp_assets.cli", *arguments],
        cwd=PACKAGE.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_assert_carries_meaning_in_the_package() -> None:
    found = [
        f"{path}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert found == []


@pytest.mark.parametrize("flag", ["-O", "-OO", "PYTHONOPTIMIZE=2"])
def test_the_command_runs_in_a_python_that_keeps_docstrings(flag: str) -> None:
    script = (
        "import sys\n"
        "import wmtp_assets.cli.runs as making\n"
        "making._list = lambda given: print(sys.flags.optimize) or 0\n"
        "from wmtp_assets.cli import main\n"
        "main()\n"
    )
    folder = str(Path(sys.executable).parent)
    environment = dict(os.environ)
    arguments = [flag] if flag.startswith("-") else []
    if not arguments:
        environment["PYTHONOPTIMIZE"] = "2"
    done = subprocess.run(
        [sys.executable, *arguments, "-c", script, "list", "--json"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    # The script's own change is gone: the command was started afresh, and does what it is for.
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["name"] == "models/tokenizer_raw"


@pytest.mark.slow
def test_the_sound_sample_opens_the_gate(copied: Project, tmp_path: Path) -> None:
    environment = dict(os.environ) | {
        "WMTP_STORAGE": str(copied.storage),
        "WMTP_HUB": str(copied.hub_spec),
    }
    done = optimized(environment, "gate", "--json")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["open"] is True


@pytest.mark.slow
def test_a_run_makes_the_same(project: Project, tmp_path: Path) -> None:
    world = tiny.rows(project, tmp_path / "world")
    before = tiny.contract(world)
    for name in ("versions", "published", "datasets_v2", "upstream"):
        tiny.scrap(world.storage / name)
    done = optimized(world.environment(), "materialize", "group:humaneval")
    assert done.returncode == 0, done.stderr
    assert tiny.contract(world) == before
    assert world.opens()
