"""Is a header that begins with a space, to slip by a check of its first byte."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, header_attack


def build(folder: Path) -> Attack:
    return header_attack(folder, b' {"a":1}', bytes(24), "begin with")
