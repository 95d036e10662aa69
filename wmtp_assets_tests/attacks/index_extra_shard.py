"""Leaves out a shard that is there."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, index_lie


def build(folder: Path) -> Attack:
    index = {"metadata": {}, "weight_map": {"a": "pytorch_model-00001-of-00002.bin"}}
    return index_lie(folder, index, "lists 1 tensors, the files hold 2: it does not list b")
