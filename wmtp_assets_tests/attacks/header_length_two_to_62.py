"""States a header of 2^62 bytes."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, entry, header_attack


def build(folder: Path) -> Attack:
    header = {"a": entry(0, 24)}
    return header_attack(folder, header, bytes(24), "longer than the file", length=2**62)
