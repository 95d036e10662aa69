"""States its ranges as floating-point numbers and truths."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, header_attack


def build(folder: Path) -> Attack:
    header = {"a": {"dtype": "F32", "shape": [6.0], "data_offsets": [False, 24]}}
    return header_attack(folder, header, bytes(24), "malformed")
