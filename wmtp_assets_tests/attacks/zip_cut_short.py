"""Is an archive whose end never arrived."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    path = archive(folder, state({"weight": tensor()}))
    path.write_bytes(path.read_bytes()[:-60])
    return Attack([path], "no complete zip archive")
