"""What the page says is so now: of what is unchanged, of failures that are over, of lost files."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.asset_health.asset_materialization_health import (
    AssetMaterializationHealthState,
)
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.types import fetched
from wmtp_assets.cli import main
from wmtp_assets.definitions import build_defs, defs
from wmtp_assets.orchestration.agreement import agree
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.orchestration.assets.readiness import KEY as READINESS
from wmtp_assets.orchestration.home import HomeError, enter_home, open_instance
from wmtp_assets.orchestration.run import Run, run
from wmtp_assets_tests.artifact_checks.breaking import flip
from wmtp_assets_tests.orchestration import tiny
from wmtp_assets_tests.orchestration.tiny import VARIABLES, Tiny

pytestmark = pytest.mark.slow
SPLIT = "datasets/humaneval_test"
RAW = f"{SPLIT}_raw"
READY = "gate/humaneval_ready"
ASKED = f'group:humaneval or key:"{READY}" or key:phase2_readiness'
GATE = dg.AssetCheckKey(READINESS, "gate_is_open")
UNCHANGED = dg.AssetCheckKey(key_of(SPLIT), "files_unchanged")
IS_READY = dg.AssetCheckKey(key_of(READY), "is_ready")


@pytest.fixture(scope="module")
def world(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tiny]:
    """A storage with everything made, and a history that knows nothing of it."""
    made = tiny.rows(project, tmp_path_factory.mktemp("agreement") / "world")
    here = Path.cwd()
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        for name, value in made.variables.items():
            patch.setenv(name, value)
        yield made
    os.chdir(here)


@pytest.fixture(scope="module")
def first(world: Tiny) -> Run:
    """A run that finds nothing to make."""
    return run(world.project, ASKED, force=False)


def latest(instance: dg.DagsterInstance, name: str) -> dg.AssetMaterialization | None:
    event = instance.get_latest_materialization_event(key_of(name))
    return event.asset_materialization if event else None


def made(project: Project) -> list[str]:
    return [name for name in project.artifacts if name.startswith("datasets/")]


def stale(instance: dg.DagsterInstance, project: Project) -> set[str]:
    graph = build_defs(project.catalog, project.hub_spec, project.storage).resolve_asset_graph()
    context = LoadingContextForTest(instance)
    resolver = CachingStaleStatusResolver(instance, graph, context)
    return {
        f"{name}: {cause.reason}"
        for name in made(project)
        for cause in resolver.get_stale_causes(key_of(name))
    }


def is_failed(instance: dg.DagsterInstance, name: str) -> bool:
    state = asyncio.run(
        AssetMaterializationHealthState.compute_for_asset(
            key_of(name), None, LoadingContextForTest(instance)
        )
    )
    return not state.failed_subset.is_empty


def gate_passed(instance: dg.DagsterInstance) -> bool | None:
    """What the gate's last check says; that of the dataset before it says the same."""
    gate, ready = passed(instance, GATE), passed(instance, IS_READY)
    assert gate is ready
    return gate


def passed(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> bool | None:
    storage = instance.event_log_storage
    for record in storage.get_asset_check_execution_history(check, limit=1):
        evaluation = record.evaluation
        return bool(evaluation.passed) if evaluation else None
    return None


def evaluation(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> dg.AssetCheckEvaluation:
    """The last one of a check."""
    (record,) = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    assert record.evaluation is not None
    return record.evaluation


def test_a_run_that_makes_nothing_tells_the_page_what_is_there(world: Tiny, first: Run) -> None:
    assert first.succeeded
    assert first.made == ()
    project = world.project
    with open_instance() as instance:
        for name in made(project):
            receipt = project.store.current(name)
            event = latest(instance, name)
            assert receipt is not None
            assert event is not None, name
            assert (event.tags or {})["dagster/data_version"] == receipt.digest
            assert str(event.metadata["result"].value).startswith("unchanged since 20")
        assert stale(instance, project) == set()
        assert latest(instance, "phase2_readiness") is not None
        assert gate_passed(instance) is True


def test_the_size_of_what_was_fetched_is_that_of_its_files(world: Tiny, first: Run) -> None:
    files = fetched(world.project.store, RAW).files()
    with open_instance() as instance:
        event = latest(instance, RAW)
    assert event is not None
    assert event.metadata["size_bytes"].value == sum(int(str(f["size"])) for f in files.values())
    assert int(str(event.metadata["size_bytes"].value)) > 2_000


def test_a_run_of_the_terminal_is_one_of_the_pages_code_location(first: Run) -> None:
    with open_instance() as instance:
        run = instance.get_run_by_id(first.run_id)
    assert run is not None
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.repository_origin.get_label() == "__repository__@wmtp_assets"
    assert run.status is dg.DagsterRunStatus.SUCCESS


def test_an_edited_catalog_shows_what_it_changes_as_out_of_date(world: Tiny, first: Run) -> None:
    catalog = world.project.catalog
    rows = catalog.datasets["humaneval"]
    edited = catalog.model_copy(
        update={"datasets": {"humaneval": rows.model_copy(update={"max_tokens": 999})}}
    )
    changed = Project(edited, world.storage, str(world.hub))
    assert changed.artifacts[SPLIT].settings != world.project.artifacts[SPLIT].settings
    with open_instance() as instance:
        assert f"{SPLIT}: has a new code version" in stale(instance, changed)


def test_a_failure_that_is_over_is_no_longer_shown(
    world: Tiny, first: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = world.storage / "versions" / SPLIT
    kept = world.folder / "kept"
    shutil.move(receipt, kept)
    parquet = next((world.storage / "upstream").rglob("*.parquet"))
    data = parquet.read_bytes()
    parquet.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 1 :] + b"x")
    failed = run(world.project, SPLIT, force=False)
    assert not failed.succeeded
    with open_instance() as instance:
        assert is_failed(instance, SPLIT)
        assert gate_passed(instance) is False, "the gate turns red with its inputs"
    parquet.write_bytes(data)
    shutil.rmtree(receipt, ignore_errors=True)
    shutil.move(kept, receipt)
    again = run(world.project, ASKED, force=False)
    assert again.succeeded, again.failures
    assert SPLIT not in again.made
    with open_instance() as instance:
        assert not is_failed(instance, SPLIT)
        assert gate_passed(instance) is True


def test_the_gate_is_red_when_a_check_of_an_input_fails_and_the_gate_is_not_asked(
    world: Tiny, first: Run
) -> None:
    path = world.project.store.path(SPLIT) / "test.jsonl"
    flip(path)
    found = run(world.project, SPLIT, force=False)
    flip(path)
    assert not found.succeeded
    with open_instance() as instance:
        assert gate_passed(instance) is False
        shown = {
            name: str(value.value)
            for name, value in evaluation(instance, UNCHANGED).metadata.items()
        }
    # A page shows short digests, a program gets whole ones.
    (told,) = (one for one in found.checks if one.check == "files_unchanged" and not one.passed)
    for name, said in (("expected", told.expected), ("found", told.found)):
        (digest,) = re.findall(r"[0-9a-f]{64}", said)
        assert re.findall(r"[0-9a-f]{12,}", shown[name]) == [digest[:12]]
    assert told.where == str(path.resolve())
    assert shown["where"] == str(path.resolve().relative_to(world.storage))
    assert told.hint == shown["what to do"]
    # The command asks the gate, although the run was not asked to.
    assert main(["materialize", SPLIT]) == 0
    with open_instance() as instance:
        assert gate_passed(instance) is True


def test_what_is_gone_was_never_materialized(world: Tiny, first: Run) -> None:
    project = world.project
    built = build_defs(project.catalog, project.hub_spec, project.storage)
    with open_instance() as instance:
        assert agree(instance, project, built) == []
        folder = world.storage / "versions" / SPLIT
        folder.rename(world.folder / "aside")
        try:
            assert set(agree(instance, project, built)) == {SPLIT, READY, "phase2_readiness"}
            assert latest(instance, SPLIT) is None
            assert latest(instance, RAW) is not None
            assert gate_passed(instance) is None
            folder.parent.mkdir(exist_ok=True)
        finally:
            (world.folder / "aside").rename(folder)
        assert agree(instance, project, built) == [SPLIT], "it is back"
        assert latest(instance, SPLIT) is not None


def test_dagster_loads_nothing_for_a_storage_that_its_home_does_not_belong_to(
    world: Tiny, first: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WMTP_STORAGE", str(tmp_path / "empty"))
    with pytest.raises(HomeError, match="another storage"):
        defs()
    monkeypatch.setenv("WMTP_STORAGE", str(world.storage))
    enter_home(world.project)
    assert isinstance(defs(), dg.Definitions)
