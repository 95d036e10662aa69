"""Executed rows as an artifact: made of the sample, checked, broken, and where nothing runs."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pyarrow.parquet as pq
import pytest

import wmtp_assets
from wmtp_assets.artifacts import Project, requirements
from wmtp_assets.artifacts.checks import run_checks
from wmtp_assets.artifacts.make import verdicts as making
from wmtp_assets.artifacts.making import Outcome, load_inputs, make_artifact
from wmtp_assets.artifacts.staleness import stale_artifacts
from wmtp_assets.catalog.dataset_entries import Execution, Quality
from wmtp_assets.corpora.annotations import AnnotationFile, write_annotation
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.execution import judge as judge_module
from wmtp_assets.execution.confinement import Layer, Means, available
from wmtp_assets.execution.judge import PYTHON_2_SETTING, Judge
from wmtp_assets.findings import Finding
from wmtp_assets_tests.artifact_checks.breaking import recommit, unmake

LABELS = "datasets/codecontests_test_verdicts"
REFERENCES = "datasets/mbpp_test_verdicts"
LOG = logging.getLogger(__name__)


def with_execution(project: Project, storage: Path) -> Project:
    """The sample with executed rows: of code_contests' test split, and MBPP's."""
    datasets = dict(project.catalog.datasets)
    for name in ("codecontests", "mbpp"):
        quality = Quality(execute=Execution(rows={"test": "all"}))
        datasets[name] = datasets[name].model_copy(update={"quality": quality})
    catalog = project.catalog.model_copy(update={"datasets": datasets})
    return Project(catalog, storage, project.hub_spec)


def made(project: Project, name: str, **given: Any) -> Outcome:
    artifact = project.artifacts[name]
    outcome = make_artifact(project, artifact, load_inputs(project, artifact), LOG, **given)
    published = project.sets[artifact.published_in]
    project.store.publish(published)
    return outcome


@pytest.fixture(scope="module")
def executed(
    sample: Path, project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("executed")
    shutil.copytree(sample / "storage", folder / "storage", symlinks=True)
    found = with_execution(project, folder / "storage")
    for name in (LABELS, REFERENCES):
        unmake(found.storage, found.artifacts[name])
        assert not made(found, name).unchanged
    yield found
    shutil.rmtree(folder)


@pytest.fixture
def broken(executed: Project, tmp_path: Path) -> Project:
    shutil.copytree(executed.storage, tmp_path / "storage", symlinks=True)
    return Project(executed.catalog, tmp_path / "storage", executed.hub_spec)


def findings(project: Project, name: str, *only: str) -> dict[str, Finding]:
    artifact = project.artifacts[name]
    return {one.name: one for one in run_checks(project, artifact, seed=1, only=only or None)}


def document(project: Project, name: str) -> dict[str, Any]:
    artifact = project.artifacts[name]
    path = project.store.path(name) / f"{artifact.split}_verdicts.json"
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


def test_what_is_made_is_sound_and_readers_find_it(executed: Project) -> None:
    for name in (LABELS, REFERENCES):
        assert [one for one in findings(executed, name).values() if not one.passed] == []
    corpus = wmtp_assets.open_corpus(executed.storage, "codecontests", "test")
    passed = corpus.select(verdict="passed", correct=True)
    every = corpus.select(correct=True, languages=[3])
    assert len(passed) >= 0.8 * len(every)
    found = document(executed, LABELS)
    assert found["executed"] is True
    assert found["drawn"] == len(corpus)
    assert found["verdicts"]["correct"]["passed"] == len(
        corpus.select(verdict="passed", correct=True)
    )


def executions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tasks each judge executes from now on, that were not in the cache."""
    seen: list[int] = []
    leave = Judge.__exit__

    def counted(judge: Judge, *given: Any) -> None:
        seen.append(judge.executed)
        leave(judge, *given)

    monkeypatch.setattr(Judge, "__exit__", counted)
    return seen


def test_what_was_executed_is_not_executed_again(
    executed: Project, broken: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert made(broken, LABELS).unchanged
    seen = executions(monkeypatch)
    again = made(broken, LABELS, force=True)
    assert seen == [0]
    assert again.receipt.digest == executed.store.current(LABELS).digest  # type: ignore[union-attr]


def of_other_rows(folder: Path) -> None:
    path = folder / "test_verdicts.parquet"
    file = AnnotationFile(path, "verdicts")
    table, facts = file.table(), file.facts
    facts["about"]["jsonl"]["sha256"] = "0" * 64
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({b"wmtp": json.dumps(facts).encode()})


def changed(folder: Path, project: Project, name: str, change: Any) -> None:
    path = folder / "test_verdicts.parquet"
    file = AnnotationFile(path, "verdicts")
    columns = {one: file.table([one])[one].to_pylist() for one in file.table().column_names}
    change(columns)
    split = project.artifacts[project.artifacts[name].inputs[0]]
    index = RowIndex(project.store.path(split.name) / "test.index.parquet")
    facts = {key: value for key, value in file.facts.items() if key != "about"}
    write_annotation(path, "verdicts", columns, index, facts)


def one_less(columns: dict[str, list[Any]]) -> None:
    for values in columns.values():
        values.pop(3)


def another_verdict(columns: dict[str, list[Any]]) -> None:
    at = columns["verdict"].index("passed")
    columns["verdict"][at] = "failed"


def all_passed(columns: dict[str, list[Any]]) -> None:
    columns["verdict"] = ["passed" if one == "failed" else one for one in columns["verdict"]]


@pytest.mark.slow
def test_each_check_finds_what_it_is_about(broken: Project) -> None:
    recommit(broken, LABELS, of_other_rows)
    assert not findings(broken, LABELS)["annotation_is_of_rows"].passed
    for change, wrong in (
        (one_less, {"every_drawn_row_judged", "rates_follow", "receipt_facts"}),
        (another_verdict, {"rates_follow"}),
    ):
        made(broken, LABELS, force=True)
        recommit(broken, LABELS, lambda folder, by=change: changed(folder, broken, LABELS, by))
        failed = {one.name for one in findings(broken, LABELS).values() if not one.passed}
        assert failed - {"verdicts_repeat", "receipt_facts"} == wrong - {"receipt_facts"}
    made(broken, LABELS, force=True)
    recommit(broken, LABELS, lambda folder: changed(folder, broken, LABELS, all_passed))
    assert not findings(broken, LABELS, "verdicts_repeat")["verdicts_repeat"].passed


def test_a_reference_that_fails_is_named_with_its_output(broken: Project) -> None:
    def wrong(columns: dict[str, list[Any]]) -> None:
        columns["verdict"][2] = "failed"
        columns["reason"][2] = "AssertionError: 3 is not 4"

    recommit(broken, REFERENCES, lambda folder: changed(folder, broken, REFERENCES, wrong))
    found = findings(broken, REFERENCES)["references_pass"]
    corpus = wmtp_assets.open_corpus(broken.storage, "mbpp", "test")
    assert not found.passed
    assert not found.blocking
    assert f"task {corpus[2]['task_id']}: failed, AssertionError: 3 is not 4" in str(found.found)


KILLED = """
import os, signal, sys
from pathlib import Path
from wmtp_assets.execution.cache import VerdictCache
from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import load_catalog
from wmtp_assets_tests.artifact_checks.test_verdicts import LABELS, made, with_execution
sample = Project(load_catalog("sample"), Path(sys.argv[1]), sys.argv[2])
put, left = VerdictCache.put, list(range(10))
def put_and_die(*given):
    put(*given)
    left.pop()
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
VerdictCache.put = put_and_die
made(with_execution(sample, sample.storage), LABELS, force=True)
"""


def lines_kept(project: Project) -> int:
    files = (project.store.root / "executed").glob("*.verdicts")
    return sum(len(line) > 0 for path in files for line in path.read_bytes().split(b"\n"))


@pytest.mark.slow
def test_what_was_killed_goes_on(
    executed: Project, broken: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(broken.store.root / "executed")
    command = [sys.executable, "-c", KILLED, str(broken.storage), str(broken.hub_spec)]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == -signal.SIGKILL
    known = lines_kept(broken)
    assert known == 10
    assert document(broken, LABELS) == document(executed, LABELS)  # the version of before
    numbers = executions(monkeypatch)
    made(broken, LABELS, force=True)
    total = lines_kept(broken)
    assert numbers == [total - known]
    assert 0 < numbers[0] < total
    assert document(broken, LABELS) == document(executed, LABELS)


def without_means(patched: pytest.MonkeyPatch) -> None:
    """From now on this machine is taken for one without any means to confine."""
    every = get_args(Layer)

    def nothing(**_: object) -> Means:
        return available(without=every)

    for module in (making, judge_module, requirements):
        patched.setattr(module, "available", nothing)


def test_where_nothing_can_be_confined_nothing_runs_until_a_machine_can(
    executed: Project, broken: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    making.can_execute.cache_clear()
    with monkeypatch.context() as patched:
        without_means(patched)
        # What was executed elsewhere stays.
        assert made(broken, LABELS).unchanged
        made(broken, LABELS, force=True)
        found = document(broken, LABELS)
        assert found["executed"] is False
        assert len(found["reasons"]) == 1
        assert "confine" in next(iter(found["reasons"]))
        said = findings(broken, LABELS)
        assert {one.name for one in said.values() if not one.passed} == {"rows_executed"}
        assert not said["rows_executed"].blocking
        assert "Landlock" in said["rows_executed"].hint
        assert LABELS not in stale_artifacts(broken, {LABELS})
    making.can_execute.cache_clear()
    assert stale_artifacts(broken, {LABELS}) == {LABELS}
    assert findings(broken, LABELS)["rows_executed"].hint == f"wmtp materialize {LABELS}"
    # The version that was executed before is here, and is taken; without it all is made again.
    before = executed.store.path(LABELS).name
    assert made(broken, LABELS).receipt.version == before
    with monkeypatch.context() as patched:
        without_means(patched)
        made(broken, LABELS, force=True)
    shutil.rmtree(broken.store.path(LABELS).parent / before)
    assert not made(broken, LABELS).unchanged
    assert document(broken, LABELS) == document(executed, LABELS)


def test_the_doctor_says_whether_rows_can_be_executed(
    project: Project, executed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = project.catalog.model_copy(
        update={
            "datasets": {
                name: dataset.model_copy(update={"quality": None})
                for name, dataset in project.catalog.datasets.items()
            }
        }
    )
    assert requirements.sandbox(Project(plain, project.storage)) == []  # nobody asks for it
    (fact,) = requirements.sandbox(executed)
    assert (fact.name, fact.state) == ("sandbox", "ok")
    without_means(monkeypatch)
    (fact,) = requirements.sandbox(executed)
    assert fact.state == "warning"
    assert fact.hint
    assert "No row is executed" in fact.found


def test_an_interpreter_of_python_2_makes_its_rows_stale_and_its_loss_nothing(
    executed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PYTHON_2_SETTING, raising=False)
    facts = executed.store.current(LABELS).facts  # type: ignore[union-attr]
    assert facts["python2_rows"] > 0
    assert facts["python2"] == ""
    assert stale_artifacts(executed, {LABELS, REFERENCES}) == set()
    monkeypatch.setenv(PYTHON_2_SETTING, "/opt/python2.7")
    assert stale_artifacts(executed, {LABELS, REFERENCES}) == {LABELS}
    receipt = executed.store.current(LABELS)
    assert receipt is not None
    ran = replace(receipt, facts={**receipt.facts, "python2": "2.7.18"})
    assert making.fit(ran)
    monkeypatch.delenv(PYTHON_2_SETTING)
    assert making.fit(ran)


def test_how_often_labels_hold_is_said_and_no_failure(project: Project) -> None:
    found = findings(project, LABELS, "labels_hold")["labels_hold"]
    assert (found.passed, found.blocking) == (True, False)
    for one in document(project, LABELS)["rates"]:
        if one["by"] == "all":
            does = "pass" if one["class"] == "correct" else "fail"
            said = f"of {one['class']} rows {does} {one['rate']:.1%} of {one['judged']} ("
            assert said in str(found.found)
    assert found.details["apart"] == document(project, LABELS)["apart"]
