"""Names a global through copyreg's extension registry (EXT1)."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle


def build(folder: Path) -> Attack:
    return refused_pickle(folder, b"\x80\x02\x82\x01)R.", "opcode b'\\x82'")
