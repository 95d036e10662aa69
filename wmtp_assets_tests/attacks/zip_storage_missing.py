"""Refers to a storage that the archive does not hold."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    return Attack([archive(folder, state({"weight": tensor()}), {})], "bytes of weight are missing")
