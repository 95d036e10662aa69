"""Names the wrong shard for each of two tensors."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, index_lie, places


def build(folder: Path) -> Attack:
    wanted = places()
    index = {"metadata": {}, "weight_map": {"a": wanted["b"], "b": wanted["a"]}}
    return index_lie(folder, index, "names another file than holds a (index: ")
