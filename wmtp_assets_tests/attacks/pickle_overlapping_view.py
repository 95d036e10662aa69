"""Shows elements of a storage twice by a stride that is too short."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    pickle = state({"weight": tensor(shape=(2, 3), strides=(2, 1))})
    return Attack([archive(folder, pickle)], "weight shows one element in several places")
