"""Declares a view of 600 elements of a storage of 6: the neighbour's bytes."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    pickle = state({"weight": tensor(shape=(600,))})
    return Attack([archive(folder, pickle)], "weight reaches beyond its storage")
