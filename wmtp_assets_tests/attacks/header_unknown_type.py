"""Uses a type that is not read here."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, entry, header_attack


def build(folder: Path) -> Attack:
    header = {"a": entry(0, 24, dtype="F8_E8M0", shape=[24])}
    return header_attack(folder, header, bytes(24), "type of a is not supported")
