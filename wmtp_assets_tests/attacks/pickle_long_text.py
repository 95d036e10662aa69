"""States a text of 4 GB in a pickle of 20 bytes."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle


def build(folder: Path) -> Attack:
    return refused_pickle(folder, b"\x80\x02X\xff\xff\xff\xffabc.", "cut short")
