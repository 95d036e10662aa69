"""Names a shard that was not fetched."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, index_attack, places


def build(folder: Path) -> Attack:
    index = {"metadata": {}, "weight_map": places(c="pytorch_model-00003-of-00003.bin")}
    return index_attack(folder, index, "pytorch_model-00003-of-00003.bin")
