"""The table of kinds: complete, the only place that tells kinds apart, and enough for a new one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.artifacts.checks.of_kind import checks_of_kind
from wmtp_assets.artifacts.kinds import KINDS, kind_of
from wmtp_assets.artifacts.make.task import Task
from wmtp_assets.artifacts.making import load_inputs
from wmtp_assets.artifacts.types import Checkpoint, Handle, Split
from wmtp_assets.catalog import load_catalog
from wmtp_assets.catalog.artifacts import Kind

PACKAGE = Path(__file__).parents[2] / "wmtp_assets"
TABLES = {"artifacts/kinds.py", "catalog/artifacts.py"}
# Which files a kind holds, which split a small one belongs to, and which metadata has a split.
OTHERS = {"artifacts/contents.py", "catalog/consistency.py", "catalog/contract.py"}


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


def test_only_the_tables_name_kinds() -> None:
    naming = {
        path.relative_to(PACKAGE).as_posix(): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := kinds_named_in(path))
    }
    assert set(naming) - TABLES - OTHERS == set(), naming
    assert "artifacts/kinds.py" in naming


def test_every_row_names_checks_that_exist(project: Project) -> None:
    for artifact in project.artifacts.values():
        assert list(checks_of_kind(artifact).listed(project, artifact)), artifact.name


@pytest.mark.parametrize("name", ["sample", "full"])
def test_every_artifact_is_described_and_loads_inputs_of_its_own(name: str, tmp_path: Path) -> None:
    project = Project(load_catalog(name), tmp_path)
    for artifact in project.artifacts.values():
        kind = kind_of(artifact)
        assert kind.describe(project.catalog, artifact).endswith("."), artifact.name
        loaded = kind.loads(artifact)
        assert set(loaded) <= set(artifact.inputs), artifact.name
        assert len(set(loaded)) == len(loaded), artifact.name


def test_a_row_schema_describes_rows_and_nothing_else(project: Project) -> None:
    for artifact in project.artifacts.values():
        schema = kind_of(artifact).row_schema
        assert (schema is not None) == (kind_of(artifact).loaded_as is Split), artifact.name
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
