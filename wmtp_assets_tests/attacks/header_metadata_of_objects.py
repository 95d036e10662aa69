"""Puts objects into __metadata__, which holds texts only."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, entry, header_attack


def build(folder: Path) -> Attack:
    header = {"__metadata__": {"x": [1]}, "a": entry(0, 24)}
    return header_attack(folder, header, bytes(24), "__metadata__")
