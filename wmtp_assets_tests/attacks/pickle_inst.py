"""Calls os.system with protocol 0's INST, which names and calls in one opcode."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle, text, touch


def build(folder: Path) -> Attack:
    called = b"(" + text(touch(folder)) + b"ios\nsystem\n."
    return refused_pickle(folder, called, "opcode b'i'")
