"""Names the wrong shard for each of two tensors."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, index_attack, places


def build(folder: Path) -> Attack:
    wanted = places()
    index = {"metadata": {}, "weight_map": {"a": wanted["b"], "b": wanted["a"]}}
    return index_attack(folder, index, "is not where")
