"""Hides bytes between the records and the directory's stated place."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    path = archive(folder, state({"weight": tensor()}))
    data = path.read_bytes()
    directory = data.index(b"PK\x01\x02")
    path.write_bytes(data[:directory] + bytes(64) + data[directory:])
    return Attack([path], "not where the archive says")
