"""The table of kinds: complete, the only place that tells kinds apart, and enough for a new one."""

from __future__ import annotations

import ast
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.artifact_kind import ArtifactKind
from wmtp_assets.artifacts.checks import Subject, run_checks
from wmtp_assets.artifacts.checks.against_source import check_against_source
from wmtp_assets.artifacts.checks.of_kind import checks_of_kind
from wmtp_assets.artifacts.checks.subject import KindChecks, by
from wmtp_assets.artifacts.gate import judge
from wmtp_assets.artifacts.kinds import KINDS, kind_of
from wmtp_assets.artifacts.make.task import Made, Task
from wmtp_assets.artifacts.making import load_inputs, make_artifact
from wmtp_assets.artifacts.types import Checkpoint, Document, Handle, Split
from wmtp_assets.catalog import load_catalog
from wmtp_assets.catalog.artifacts import Kind
from wmtp_assets.checkpoints.safetensors_file import read_header
from wmtp_assets.findings import Outcome, check
from wmtp_assets.orchestration.assets.artifacts import artifact_asset
from wmtp_assets.orchestration.assets.common import key_of
from wmtp_assets.storage.atomic import write_json

PACKAGE = Path(__file__).parents[2] / "wmtp_assets"


def kinds_named_in(path: Path) -> list[int]:
    """The lines of a module that import the enumeration of kinds of artifacts."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module == "wmtp_assets.catalog.artifacts"
        and any(name.name == "Kind" for name in node.names)
    ]


def test_every_kind_has_a_row() -> None:
    assert set(KINDS) == set(Kind)


def test_only_the_table_names_kinds() -> None:
    naming = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := kinds_named_in(path))
    }
    # The enumeration itself is in catalog/artifacts.py, with which artifacts are of a kind.
    assert set(naming) == {"artifacts/kinds.py"}


def test_every_row_names_checks_that_exist(project: Project) -> None:
    for artifact in project.artifacts.values():
        assert list(checks_of_kind(artifact).listed(project, artifact)), artifact.name


def summarize(task: Task) -> Made:
    """summary.json: how many tensors a checkpoint has."""
    checkpoint = task.input(task.artifact.inputs[0], Checkpoint)
    facts = {"tensors": len(read_header(checkpoint.path).tensors)}
    write_json(task.folder / "summary.json", facts)
    return Made(facts)


@check("The summary counts the checkpoint's tensors.")
def summary_counts_tensors(subject: Subject) -> Outcome:
    folder, _ = subject.place(subject.artifact.inputs[0])
    there = len(read_header(folder / "model.safetensors").tensors)
    said = json.loads((subject.folder / "summary.json").read_bytes())["tensors"]
    return Outcome(said == there, there, said, str(subject.folder / "summary.json"))


SUMMARIES = KindChecks(Subject, lambda *_: [summary_counts_tensors], by(summary_counts_tensors))


def test_a_new_kind_is_a_row_and_its_functions(
    copied: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a kind that this module adds, an artifact is made, shown, verified and judged."""
    kind = cast("Kind", "summary")
    row = ArtifactKind(
        make=summarize,
        loaded_as=Document,
        facts=lambda project, artifact, made: made.read("summary.json"),
        checks=f"{__name__}:SUMMARIES",
        describe=lambda _, artifact: f"What {artifact.owner} holds.",
        red="it counts something else",
        icon="json",
        beside=lambda _: ("summary.json",),
    )
    monkeypatch.setitem(cast("dict[Kind, ArtifactKind]", KINDS), kind, row)
    name, checkpoint = "models/micro-mtp_summary", copied.artifacts["models/micro-mtp"]
    summary = replace(checkpoint, name=name, kind=kind, inputs=(checkpoint.name,), links={})
    copied.artifacts[name] = summary

    log = logging.getLogger(__name__)
    made = make_artifact(copied, summary, load_inputs(copied, summary), log)
    assert 10 <= made.receipt.facts["tensors"] < 99
    assert make_artifact(copied, summary, load_inputs(copied, summary), log).unchanged
    card = artifact_asset(copied, summary).descriptions_by_key[key_of(name)]
    assert "What micro-mtp holds." in card
    assert "it counts something else" in card
    assert f"versions/{name}/current/summary.json" in card
    assert [finding for finding in run_checks(copied, summary) if not finding.passed] == []
    assert [one.passed for one in check_against_source(copied, summary)] == [True]

    write_json(copied.store.path(name) / "summary.json", {"tensors": 99})  # of the same size
    found = {finding.name: finding for finding in run_checks(copied, summary)}
    assert {one.name for one in found.values() if not one.passed} == {
        "files_unchanged",
        "receipt_facts",
        "summary_counts_tensors",
    }
    required = [one.name for one in copied.artifacts.values() if one.status == "required"]
    verdict = judge(copied, {**{one: [] for one in required}, name: list(found.values())}, [])
    assert not verdict.open


@pytest.mark.parametrize("name", ["sample", "full"])
def test_every_artifact_is_described_and_loads_inputs_of_its_own(name: str, tmp_path: Path) -> None:
    project = Project(load_catalog(name), tmp_path)
    for artifact in project.artifacts.values():
        kind = kind_of(artifact)
        assert kind.describe(project.catalog, artifact).endswith("."), artifact.name
        loaded = kind.loads(artifact)
        assert set(loaded) <= set(artifact.inputs), artifact.name
        assert len(set(loaded)) == len(loaded), artifact.name


def test_columns_are_listed_of_schemas_and_of_nothing_that_has_pictures(project: Project) -> None:
    for artifact in project.artifacts.values():
        schema = kind_of(artifact).row_schema
        assert (schema is not None) == (artifact.kind is Kind.SCHEMA), artifact.name
        if schema is not None:
            assert "instruction" in schema(project.catalog, artifact)["properties"]


def test_inputs_are_loaded_as_their_own_kinds_say(project: Project) -> None:
    for artifact in project.artifacts.values():
        handles = load_inputs(project, artifact)
        assert [handle.name for handle in handles] == list(kind_of(artifact).loads(artifact))
        for handle in handles:
            assert type(handle) is kind_of(project.artifacts[handle.name]).loaded_as


def test_a_task_refuses_an_input_of_another_type(project: Project, tmp_path: Path) -> None:
    artifact = project.artifacts["models/micro-mtp_certificate"]
    (handle,) = load_inputs(project, artifact)
    inputs: dict[str, Handle] = {handle.name: handle}
    task = Task(project, artifact, inputs, tmp_path, log=None)  # type: ignore[arg-type]
    assert task.input(handle.name, Checkpoint) is handle
    with pytest.raises(TypeError, match="expected Split, found Checkpoint"):
        task.input(handle.name, Split)
