"""Names a type with escape codes in it, for the terminal that shows the refusal."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, entry, header_attack


def build(folder: Path) -> Attack:
    header = {"a": entry(0, 24, dtype="\x1b[2JF32\u202e")}
    return header_attack(folder, header, bytes(24), "type of a is not supported")
