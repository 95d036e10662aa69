"""Stores into memo place 2^32 - 1, for which an array-backed memo takes 32 GB."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import VALUES, Attack, archive, tensor, text


def build(folder: Path) -> Attack:
    pickle = b"\x80\x02}r\xff\xff\xff\xff(" + text("weight") + tensor() + b"u."
    return Attack([archive(folder, pickle)], None, reads={"weight": VALUES})
