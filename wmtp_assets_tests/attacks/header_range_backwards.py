"""States a range that ends before it begins."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, entry, header_attack


def build(folder: Path) -> Attack:
    return header_attack(folder, {"a": entry(24, 0)}, bytes(24), "do not fit its shape")
