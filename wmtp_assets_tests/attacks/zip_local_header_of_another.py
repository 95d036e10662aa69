"""Names another record in a record's own header than in the directory."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    path = archive(folder, state({"weight": tensor()}))
    path.write_bytes(path.read_bytes().replace(b"archive/data/0", b"archive/data/9", 1))
    return Attack([path], "not where the zip directory says")
