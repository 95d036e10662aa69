"""Calls a tensor by markup and a terminal's escape codes."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle, state, tensor


def build(folder: Path) -> Attack:
    pickle = state({"<script>alert(1)</script>\x1b[2J": tensor()})
    return refused_pickle(folder, pickle, "not a plain one")
