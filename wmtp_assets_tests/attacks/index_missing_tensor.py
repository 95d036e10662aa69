"""Names a tensor that no shard holds."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, index_lie, places


def build(folder: Path) -> Attack:
    index = {"metadata": {}, "weight_map": places(c="pytorch_model-00001-of-00002.bin")}
    return index_lie(folder, index, "lists 3 tensors, the files hold 2: no file holds c")
