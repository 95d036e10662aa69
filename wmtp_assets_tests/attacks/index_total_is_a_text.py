"""States its total size as a text."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, index_attack, places


def build(folder: Path) -> Attack:
    index = {"metadata": {"total_size": "48"}, "weight_map": places()}
    return index_attack(folder, index, "total_size")
