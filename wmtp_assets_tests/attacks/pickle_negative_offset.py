"""Reads before its storage's beginning, into what the archive holds there."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle, state, tensor


def build(folder: Path) -> Attack:
    return refused_pickle(folder, state({"weight": tensor(offset=-4)}), "not plain numbers")
