"""Multiplies its shape to 2^64 + 6, which wraps to 6 in 64 bits."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, entry, header_attack


def build(folder: Path) -> Attack:
    header = {"a": entry(0, 24, shape=[2**32 + 1, 2**32 - 1, 2**61])}
    return header_attack(folder, header, bytes(24), "do not fit its shape")
