"""States a total size that is one byte off."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, index_lie, places


def build(folder: Path) -> Attack:
    index = {"metadata": {"total_size": 49}, "weight_map": places()}
    return index_lie(folder, index, "total_size of 49, the tensors hold 48 bytes")
