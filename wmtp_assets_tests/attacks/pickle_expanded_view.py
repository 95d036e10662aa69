"""Shows one element 2^40 times (a stride of 0), to fill the disk."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    pickle = state({"weight": tensor(shape=(2**40,), strides=(0,))})
    return Attack([archive(folder, pickle)], "weight shows one element in several places")
