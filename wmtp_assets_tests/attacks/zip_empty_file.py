"""Is an empty file."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack


def build(folder: Path) -> Attack:
    path = folder / "weights.pth"
    path.touch()
    return Attack([path], "not a torch archive")
