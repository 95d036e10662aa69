"""States 50,001 records, to make a reader allocate for them."""

from __future__ import annotations

import struct
from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    path = archive(folder, state({"weight": tensor()}))
    data = bytearray(path.read_bytes())
    data[-14:-10] = struct.pack("<2H", 50_001, 50_001)
    path.write_bytes(data)
    return Attack([path], "too large")
