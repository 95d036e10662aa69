"""Names a shard that was not fetched."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, index_lie, places


def build(folder: Path) -> Attack:
    index = {"metadata": {}, "weight_map": places(c="pytorch_model-00003-of-00003.bin")}
    return index_lie(folder, index, "names 'pytorch_model-00003-of-00003.bin' for c")
