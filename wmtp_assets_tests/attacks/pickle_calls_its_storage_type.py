"""Calls an allowed name that is only a type: torch.FloatStorage(10**9)."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, number, refused_pickle, state


def build(folder: Path) -> Attack:
    call = b"ctorch\nFloatStorage\n(" + number(10**9) + b"tR"
    return refused_pickle(folder, state({"weight": call}), "calls something")
