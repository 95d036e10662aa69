"""Declares 6 elements where the record holds 5: torch's mmap reads the neighbour's bytes."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import VALUES, Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    path = archive(folder, state({"weight": tensor()}), {"0": VALUES.tobytes()[:20]})
    return Attack([path], "storage of weight is not as long as declared")
