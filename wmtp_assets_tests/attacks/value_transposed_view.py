"""Stores a matrix by columns: read as rows it would be another matrix."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import VALUES, Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    pickle = state({"weight": tensor(shape=(3, 2), strides=(1, 3))})
    reads = {"weight": VALUES.reshape(2, 3).T}
    return Attack([archive(folder, pickle)], None, reads=reads)
