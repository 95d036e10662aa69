"""Adds a field that a later reader may obey."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, header_attack


def build(folder: Path) -> Attack:
    one = {"dtype": "F32", "shape": [6], "data_offsets": [0, 24], "scale": 2}
    return header_attack(folder, {"a": one}, bytes(24), "malformed")
