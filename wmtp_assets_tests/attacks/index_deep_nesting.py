"""Nests a hundred thousand lists, for a parser that recurses."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, index_attack


def build(folder: Path) -> Attack:
    return index_attack(folder, "[" * 100_000 + "]" * 100_000, "nested too deeply")
