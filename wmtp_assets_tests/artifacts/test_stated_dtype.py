"""`source_dtype` is compared with the source: before a conversion, and of what was converted."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets_tests.artifact_checks.breaking import failed
from wmtp_assets_tests.artifacts.editions import CHECKPOINT, MODEL, model_alone, planted
from wmtp_assets_tests.artifacts.workbench import Workbench


def stating(project: Project, storage: Path, **stated: object) -> Project:
    """The same model in a catalog that states something else of its source."""
    catalog = model_alone(project.catalog)
    entry = catalog.models[MODEL].model_copy(update=stated)
    return Project(catalog.model_copy(update={"models": {MODEL: entry}}), storage, project.hub_spec)


def test_another_source_dtype_than_the_sources_is_refused_before_anything_is_written(
    project: Project, memory: Path
) -> None:
    before = planted(project, model_alone(project.catalog), memory / "storage")
    there = before.store.current(CHECKPOINT)
    ours = stating(project, before.storage, source_dtype="bfloat16")
    with pytest.raises(dg.Failure) as refused:
        Workbench(ours).make([CHECKPOINT])
    said = str(refused.value)
    assert "extra_heads.0.attention.wk.weight is float32, not bfloat16" in said
    assert "source_dtype bfloat16" in said
    assert "consolidated.pth" in said
    assert ours.store.current(CHECKPOINT) == there
    assert failed(ours, CHECKPOINT) == {"source_dtype_stated", "inputs_current"}
    # What the message says to do works.
    corrected = stating(project, before.storage, source_dtype_of={"*": "float32"})
    Workbench(corrected).make(corrected.artifacts)
    assert failed(corrected, CHECKPOINT) == set()


def test_metadata_states_what_the_source_is(project: Project) -> None:
    for name, dtype in ((MODEL, "float32"), ("starling-rm-7b", "bfloat16")):
        path = project.store.path(f"models/{name}_metadata") / "metadata.json"
        assert json.loads(path.read_bytes())["conversion"]["source_dtype"] == dtype
