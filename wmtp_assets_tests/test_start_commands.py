"""docs/operations.md lists every command that starts something, and a test executes each."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from wmtp_assets_tests.bucket import s3_server
from wmtp_assets_tests.orchestration.postgres import programs

TESTS = Path(__file__).parent
EXECUTED_BY: Final[dict[str, str]] = {
    "make run": "web/test_processes.py::test_a_page_whose_command_was_killed_serves_no_longer",
    "wmtp run": "web/test_processes.py::test_a_page_whose_command_was_killed_serves_no_longer",
    "make ui": "web/test_page.py::test_the_address_alone_leads_to_the_lineage",
    "wmtp ui": "web/test_recovery.py::test_a_page_that_is_ended_ends_its_runs",
    "wmtp ui --read-only": (
        "web/test_page.py::test_a_page_without_a_token_says_so_and_ends_without_a_trace"
    ),
    "make materialize": (
        "orchestration/test_sweep_of_runs.py::test_a_killed_process_is_healed_by_one_plain_rerun"
    ),
    "wmtp materialize": (
        "test_offline_server.py::"
        "test_a_server_without_a_network_verifies_converts_and_opens_the_gate"
    ),
    "wmtp verify": "test_cli.py::test_verify_is_quiet_about_what_is_sound_and_names_what_is_not",
    "wmtp gate": (
        "test_cli.py::test_the_gate_exits_0_when_open_and_1_when_closed_and_says_what_repairs"
    ),
    "daily_verify": "e2e/test_flow.py::test_the_whole_flow",
    "weekly_refresh": "test_definitions.py::test_the_schedules_ask_for_their_jobs",
    "follow_changes": "e2e/test_flow.py::test_the_whole_flow",
    "notify": "web/test_page.py::test_the_sensor_sends_a_run_that_failed_to_the_webhook",
    "wmtp verify --sample 1/7": (
        "artifacts/test_commands.py::test_a_sample_of_a_seventh_reads_everything_once_in_seven_days"
    ),
    **dict.fromkeys(
        (f"wmtp {verb} s3://BUCKET/wmtp" for verb in ("push", "pull", "verify")),
        "bucket/test_s3.py::test_the_commands_over_s3",
    ),
    "WMTP_ENGINE=ray wmtp materialize datasets/codecontests_train_verdicts": (
        "engines/test_on_ray.py::test_verdicts_are_those_of_the_local_run_though_a_worker_is_killed"
    ),
    **dict.fromkeys(
        (
            "ray start --head --block --port=6379 --include-dashboard=false --num-cpus=16",
            "ray start --address=first-machine:6379 --block --num-cpus=16",
            "RAY_ADDRESS=first-machine:6379 WMTP_ENGINE=ray "
            "wmtp materialize datasets/codecontests_train_verdicts",
        ),
        "engines/test_on_ray.py::test_a_cluster_that_is_started_as_documented_is_joined",
    ),
    **dict.fromkeys(
        (
            "wmtp slurm datasets/codecontests_train_verdicts --parts 400",
            "sh .../submit.sh --partition=cpu --time=2:00:00",
        ),
        "engines/test_slurm.py::test_an_array_job_does_the_parts_and_a_second_job_joins_them",
    ),
    "DAGSTER_HOME=~/wmtp-home wmtp ui": (
        "orchestration/test_postgres.py::"
        "test_a_page_outlives_its_daemon_a_run_and_a_restart_of_the_server"
    ),
    "sudo systemctl enable --now wmtp-page.service wmtp-verify.timer": (
        "web/test_page.py::test_a_page_without_a_token_says_so_and_ends_without_a_trace"
    ),
    "docker compose up --detach --wait": (
        "test_deployment.py::test_the_page_keeps_its_history_in_the_postgres_of_compose"
    ),
    "docker compose run --rm bucket push s3://wmtp/storage": (
        "test_deployment.py::test_the_profile_bucket_has_an_s3_server_and_commands_that_reach_it"
    ),
    "docker run --rm -v wmtp_data:/data -v wmtp_state:/var/lib/wmtp wmtp-assets materialize": (
        "test_deployment.py::test_hadolint_has_nothing_to_say_of_the_dockerfile"
    ),
    "OPENLINEAGE_URL=http://127.0.0.1:5000 wmtp materialize": (
        "orchestration/test_lineage.py::test_a_run_tells_what_was_read_and_written_by_version"
    ),
    **dict.fromkeys(
        ("wmtp mirror carry/hub", "WMTP_HUB=/data/carry/hub wmtp materialize"),
        "test_offline_server.py::"
        "test_a_server_without_a_network_verifies_converts_and_opens_the_gate",
    ),
    "dagster dev": "test_definitions.py::test_dagsters_own_page_loads_the_workspace",
}
MISSING: Final[dict[str, Callable[[], bool]]] = {
    "only Linux": lambda: sys.platform != "linux",
    "Ray is not installed": lambda: find_spec("ray") is None,
    "no swift in": lambda: not s3_server.is_installed(),
    "no Postgres server is installed": lambda: programs() is None,
    "dagster-postgres is not installed": lambda: find_spec("dagster_postgres") is None,
}
"""What a test may be skipped for, by the start of the reason; `.ci/run` installs all of it."""


def listed() -> list[str]:
    """What the first column of the table has in backticks; a file in brackets is no command."""
    page = (TESTS.parent / "docs/operations.md").read_text(encoding="utf-8")
    table = page.partition("| command | what it starts | how it ends | details |\n")[2]
    rows = table.partition("\n\n")[0].splitlines()[1:]
    assert all(len(row.split(" | ")) == 4 for row in rows)
    assert all(re.search(r"\]\(.*\) \|$", row) for row in rows), "a page with details"
    first = [re.sub(r" \(.*?\)", "", row.split(" | ")[0]) for row in rows]
    return [command for cell in first for command in re.findall("`([^`]+)`", cell)]


def test_each_start_command_has_its_test_and_no_other_is_claimed() -> None:
    found = listed()
    assert len(found) == len(set(found)) > 20
    assert set(found) == set(EXECUTED_BY)


def why_never_run(test: str, tests: Path = TESTS) -> str | None:
    """Why a test (`path::name` below `tests`) is not run where everything is installed."""
    path, _, name = test.partition("::")
    tree = ast.parse((tests / path).read_text(encoding="utf-8"))
    functions = [one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == name]
    if len(functions) != 1:
        return "there is no such test"
    for line in functions[0].body:
        if isinstance(line, ast.Expr) and ast.unparse(line).startswith(("pytest.skip", "pytest.x")):
            return ast.unparse(line)
    package = f"{tests.name}." if tests == TESTS else ""
    module = importlib.import_module(package + path.removesuffix(".py").replace("/", "."))
    marks = getattr(module, "pytestmark", [])
    marks = [*(marks if isinstance(marks, list) else [marks])]
    marks += getattr(getattr(module, name), "pytestmark", [])
    for mark in marks:
        mark = getattr(mark, "mark", mark)
        if mark.name in ("skip", "xfail"):
            return f"it is marked {mark.name}"
        if mark.name == "skipif":
            reason = mark.kwargs["reason"]
            absent = [one for start, one in MISSING.items() if reason.startswith(start)]
            if len(absent) != 1 or bool(mark.args[0]) != absent[0]():
                return f"it is skipped: {reason}"
    return None


@pytest.mark.parametrize("test", sorted(set(EXECUTED_BY.values())))
def test_each_start_command_is_executed_by_a_test_that_runs(test: str) -> None:
    assert why_never_run(test) is None


NEVER = """
import pytest

@pytest.mark.skip(reason="never")
def test_marked(): ...

@pytest.mark.skipif(True, reason="no Postgres server is installed, it is said")
def test_with_a_wrong_reason(): ...

def test_that_skips_itself():
    pytest.skip("never")
"""


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("test_of_nothing", "no such test"),
        ("test_marked", "marked skip"),
        ("test_with_a_wrong_reason", "it is skipped: no Postgres"),
        ("test_that_skips_itself", "pytest.skip('never')"),
    ],
)
def test_a_test_that_never_runs_is_found(
    name: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "examples_of_skipping.py").write_text(NEVER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(MISSING, "no Postgres server is installed", lambda: False)
    assert why in (why_never_run(f"examples_of_skipping.py::{name}", tmp_path) or "")
