"""Calls a tensor __metadata__, which means something else in safetensors."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle, state, tensor


def build(folder: Path) -> Attack:
    return refused_pickle(folder, state({"__metadata__": tensor()}), "not a plain one")
