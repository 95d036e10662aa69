"""Marks a storage's record as a folder, for which torch reads memory that nobody filled."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    path = archive(folder, state({"a": tensor()}))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"archive/data/0"))
    data[at + 38] |= 0x10
    path.write_bytes(data)
    return Attack([path], "is no file of this archive")
