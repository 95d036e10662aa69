"""Nests a hundred thousand lists, for a parser that recurses."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, header_attack


def build(folder: Path) -> Attack:
    return header_attack(folder, b'{"a":' + b"[" * 100_000, b"", "nested too deeply")
