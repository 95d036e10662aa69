"""Lets two records of its directory share the same bytes."""

from __future__ import annotations

import struct
from pathlib import Path

from wmtp_assets_tests.attacks.building import VALUES, Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    path = archive(folder, state({"a": tensor()}), {"0": inner_record(), "1": VALUES.tobytes()})
    data = bytearray(path.read_bytes())
    # The directory's entry of data/1 is pointed at a local header that lies within data/0.
    entry = data.rindex(b"archive/data/1") - 46
    data[entry + 42 : entry + 46] = struct.pack("<I", data.index(inner_record()))
    path.write_bytes(data)
    return Attack([path], "overlaps another")


def inner_record() -> bytes:
    """A whole zip record named archive/data/1, to be hidden in the bytes of another."""
    name = b"archive/data/1"
    return struct.pack("<4s5H3I2H", b"PK\3\4", *(0,) * 8, len(name), 0) + name + bytes(24)
