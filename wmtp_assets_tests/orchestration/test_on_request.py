"""What is made on request: no run of everything makes it, and nobody misses it."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.artifacts.gate import evaluate
from wmtp_assets.artifacts.verify import verify
from wmtp_assets.catalog.dataset_entries import Execution, Quality
from wmtp_assets.catalog.schema import Catalog
from wmtp_assets.cli.report import rows, table
from wmtp_assets.definitions import build_defs
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.orchestration.run import run
from wmtp_assets_tests.artifacts.editions import ROWS, planted, small

NAME = f"datasets/{ROWS}_test_verdicts"


def asking(catalog: Catalog, seed: int = 42) -> Catalog:
    """A small catalog whose references are executed on request."""
    one = small(catalog)
    execute = Execution(rows={"test": "all"}, seed=seed, on_request=True)
    dataset = one.datasets[ROWS].model_copy(update={"quality": Quality(execute=execute)})
    return one.model_copy(update={"datasets": {ROWS: dataset}})


@pytest.fixture
def asked(project: Project, tmp_path: Path) -> Project:
    """A storage whose rows were never executed."""
    ours = planted(project, small(project.catalog), tmp_path / "storage")
    return Project(asking(ours.catalog), ours.storage, ours.hub_spec)


def test_no_job_of_everything_and_no_sensor_makes_it(project: Project, tmp_path: Path) -> None:
    defs = build_defs(asking(project.catalog), project.hub_spec, tmp_path)
    key = key_of(NAME)
    for name in ("materialize_all", "refresh"):
        job = defs.resolve_job_def(name)
        assert key not in job.asset_layer.selected_asset_keys
        assert key_of(f"datasets/{ROWS}_test") in job.asset_layer.selected_asset_keys
    checks = defs.resolve_job_def("verify").asset_layer.asset_graph.asset_check_keys
    assert {one for one in checks if one.asset_key == key}
    node = defs.resolve_asset_graph().get(key)
    assert node.automation_condition is None
    assert node.group_name == ROWS  # where it is found, and clicked
    assert isinstance(node.assets_def, dg.AssetsDefinition)


@pytest.mark.slow
def test_a_run_of_everything_leaves_it_and_a_run_of_its_group_makes_it(asked: Project) -> None:
    def row() -> str:
        (line,) = (one for one in table(rows(asked, [])).splitlines() if NAME in one)
        return line

    before = run(asked, None, force=False)
    assert before.succeeded
    assert NAME not in before.made
    said = {one.found for one in before.checks if one.artifact == NAME}
    assert said == {"not made: on request"}
    assert "on request" in row()
    assert "missing" not in row()
    assert evaluate(asked).open
    assert verify(asked, deep=False).sound

    made = run(asked, f"group:{ROWS}", force=False)
    assert made.succeeded
    assert NAME in made.made
    assert [one for one in made.checks if one.artifact == NAME and not one.passed] == []
    assert "on request" not in row()
    link = asked.storage / f"datasets_v2/{ROWS}/quality/test_verdicts.json"
    assert json.loads(link.read_bytes())["drawn"] == 12

    # Another seed in the catalog: out of date, which is no fault either, and nothing is made.
    newer = Project(asking(asked.catalog, seed=7), asked.storage, asked.hub_spec)
    said = {one.found for one in run_checks(newer, newer.artifacts[NAME])}
    assert said == {"out of date, and made again on request"}
    assert verify(newer, deep=False).sound
    after = run(newer, None, force=False)
    assert after.succeeded
    assert NAME not in after.made
    assert NAME in run(newer, NAME, force=False).made
