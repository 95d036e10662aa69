"""Lets two tensors share their bytes."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, entry, header_attack


def build(folder: Path) -> Attack:
    header = {"a": entry(0, 24), "b": entry(12, 36)}
    return header_attack(folder, header, bytes(36), "b overlap")
