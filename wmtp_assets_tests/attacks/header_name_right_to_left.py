"""Reverses the direction of the line in a tensor's name."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, entry, header_attack


def build(folder: Path) -> Attack:
    return header_attack(folder, {"a\u202eb": entry(0, 24)}, bytes(24), "not a plain one")
