"""Fills the memo with four million dicts, two bytes each."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle


def build(folder: Path) -> Attack:
    return refused_pickle(folder, b"\x80\x02" + b"}\x94" * 4_000_000 + b".", "opcodes")
