"""Asks an allowed module for a function that is not a rebuild: torch.serialization.load."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle, state, text


def build(folder: Path) -> Attack:
    call = b"ctorch.serialization\nload\n(" + text("/etc/passwd") + b"tR"
    return refused_pickle(folder, state({"weight": call}), "'torch.serialization'.'load'")
