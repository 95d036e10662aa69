"""Is a header of 50 MB of empty lists."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, header_attack


def build(folder: Path) -> Attack:
    return header_attack(folder, b"{" + b"[],[]," * 8_000_000, b"", "too large")
