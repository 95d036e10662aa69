"""Gives one name to two tensors; a reader takes the last, a proof looked at the first."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle, tensor, text


def build(folder: Path) -> Attack:
    pickle = b"\x80\x02}(" + (text("weight") + tensor()) * 2 + b"u."
    return refused_pickle(folder, pickle, "occurs twice")
