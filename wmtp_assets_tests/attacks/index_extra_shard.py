"""Leaves out a shard that is there."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, index_attack


def build(folder: Path) -> Attack:
    index = {"metadata": {}, "weight_map": {"a": "pytorch_model-00001-of-00002.bin"}}
    return index_attack(folder, index, "pytorch_model-00002-of-00002.bin")
