"""A sixth model is some ten lines of YAML: assets, checks and paths follow, all of it green."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest

from wmtp_assets.artifacts import Project
from wmtp_assets.catalog import load_catalog
from wmtp_assets_tests.worlds import materialized

SIXTH = """\
  sixth-llama:
    layout: llama
    upstream:
      repository: princeton-nlp/Sheared-LLaMA-2.7B
      revision: sample-4
      licence: generated sample, no licence of the real repository
    files:
      weights: [{path: pytorch_model-*.bin, count: 2}]
      index: pytorch_model.bin.index.json
      config: config.json
    source_dtype: float32
    dtype: float16
    expected: {parameters: 367424, tensors: 57}

"""
PARTS = ("_raw", "", "_config", "_certificate", "_metadata", "_card")


@pytest.fixture
def with_sixth(tmp_path: Path, copied: Project) -> Project:
    text = (resources.files("wmtp_assets.catalog") / "sample.yaml").read_text(encoding="utf-8")
    path = tmp_path / "six.yaml"
    path.write_text(text.replace("datasets:\n", f"{SIXTH}datasets:\n", 1), encoding="utf-8")
    return Project(load_catalog(path), copied.storage, copied.hub_spec)


@pytest.mark.slow
def test_a_sixth_model_gets_its_assets_checks_and_paths_and_comes_out_green(
    with_sixth: Project, project: Project
) -> None:
    new = set(with_sixth.artifacts) - set(project.artifacts)
    assert new == {f"models/sixth-llama{part}" for part in PARTS}
    result = materialized(with_sixth, new)
    checks = result.get_asset_check_evaluations()
    assert [check.check_name for check in checks if not check.passed] == []
    assert result.success
    assert "causal_lm_loads" in {check.check_name for check in checks}
    folder = with_sixth.storage / "models_v2/sixth-llama"
    for path in (
        "safetensors/model.safetensors",
        "safetensors/SHA256SUMS",
        "configs/config.json",
        "tokenizer/tokenizer.model",
        "certificate.json",
        "hf/config.json",
    ):
        assert (folder / path).is_file(), path
    assert json.loads((folder / "metadata.json").read_bytes())["name"] == "sixth-llama"


def test_the_other_models_are_as_fresh_as_before(with_sixth: Project, project: Project) -> None:
    from wmtp_assets.artifacts.staleness import stale_artifacts

    new = {f"models/sixth-llama{part}" for part in PARTS}
    assert stale_artifacts(with_sixth, with_sixth.artifacts) == new
