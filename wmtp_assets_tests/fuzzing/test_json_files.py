"""Index, config.json and params.json: spoiled by their structure and by single bytes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from wmtp_assets.checkpoints import strict_json
from wmtp_assets.checkpoints.layouts import assign, expected_shapes
from wmtp_assets.checkpoints.source import open_source
from wmtp_assets.checkpoints.tensors import read_tensor
from wmtp_assets.mtp.loading import read_json
from wmtp_assets.mtp.model import ModelArgs
from wmtp_assets_tests.checkpoints.models import LLAMA_CONFIG, MTP_PARAMS, raw
from wmtp_assets_tests.fuzzing.harness import fuzz
from wmtp_assets_tests.fuzzing.mutations import json_bytes, mutate_value

pytestmark = pytest.mark.fuzz


def test_strict_json_gives_what_json_gives_or_refuses() -> None:
    value = {"a": [1, 2.5, None, True, "x\u2028", {"b": {}}], "c": '\\"[{', "d": -7}

    def attempt(rng: random.Random) -> None:
        data = json_bytes(rng, mutate_value(rng, value))
        assert strict_json.loads(data) == json.loads(data)

    outcomes = fuzz(attempt, allowed=(strict_json.StrictJsonError,))
    print(outcomes)
    assert outcomes.read
    assert outcomes.refused


def test_index_files(tmp_path: Path) -> None:
    tensors = {"a.weight": torch.arange(6.0), "b": torch.ones(2, 2), "c": torch.zeros(3)}
    files = [tmp_path / f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    save_file({"a.weight": tensors["a.weight"]}, files[0])
    save_file({"b": tensors["b"], "c": tensors["c"]}, files[1])
    places = {"a.weight": files[0].name, "b": files[1].name, "c": files[1].name}
    index = {"metadata": {"total_size": 52, "format": "pt"}, "weight_map": places}
    path = tmp_path / "model.safetensors.index.json"
    wanted = {name: raw(tensor) for name, tensor in tensors.items()}

    def attempt(rng: random.Random) -> None:
        path.write_bytes(json_bytes(rng, mutate_value(rng, index)))
        source = open_source(files, path)
        found = {name: read_tensor(tensor).tobytes() for name, tensor in source.tensors.items()}
        assert found == wanted
        assert all(warning.isprintable() and len(warning) < 2000 for warning in source.warnings)

    outcomes = fuzz(attempt)
    print(outcomes)
    assert outcomes.read
    assert outcomes.refused


def test_configs(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    bases: list[tuple[str, dict[str, object]]] = [
        ("meta-mtp", MTP_PARAMS),
        ("llama", LLAMA_CONFIG),
        ("llama-reward", LLAMA_CONFIG),
    ]
    names = {layout: list(expected_shapes(layout, config)) for layout, config in bases}

    def attempt(rng: random.Random) -> None:
        layout, config = rng.choice(bases)
        data = json_bytes(rng, mutate_value(rng, config))
        path.write_bytes(data)
        found = read_json(path)
        assert found == json.loads(data)
        if layout == "meta-mtp" and rng.random() < 0.5:
            ModelArgs.from_params(found)
        else:
            assign(layout, found, names[layout])

    outcomes = fuzz(attempt)
    print(outcomes)
    assert outcomes.refused
