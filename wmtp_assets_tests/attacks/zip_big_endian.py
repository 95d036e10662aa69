"""Holds big-endian numbers, which read as nonsense without a word."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    pickle = state({"weight": tensor()})
    return Attack([archive(folder, pickle, byteorder=b"big")], "not little-endian")
