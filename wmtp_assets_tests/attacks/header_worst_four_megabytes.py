"""Is the header that makes the most objects of the bytes allowed."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, header_attack


def build(folder: Path) -> Attack:
    return header_attack(folder, b'{"a":[' + b"[]," * 1_390_000 + b"[]]}", b"", "malformed")
