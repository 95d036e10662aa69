"""Ends within its last tensor."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, entry, header_attack


def build(folder: Path) -> Attack:
    return header_attack(folder, {"a": entry(0, 24)}, bytes(20), "length does not match")
