"""Is in torch's format of before 1.6, which is read by running it."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, text, touch


def build(folder: Path) -> Attack:
    path = folder / "weights.pth"
    magic = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
    path.write_bytes(magic + b"\x80\x02cos\nsystem\n(" + text(touch(folder)) + b"tR.")
    return Attack([path], "torch's old format")
