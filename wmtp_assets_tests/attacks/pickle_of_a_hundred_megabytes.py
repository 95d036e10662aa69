"""Is a pickle of 100 MB of text."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle, text


def build(folder: Path) -> Attack:
    return refused_pickle(folder, b"\x80\x02" + text("x" * 100_000_000) + b".", "too large")
