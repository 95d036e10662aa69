"""Compresses its records, so that their bytes are not the tensors'."""

from __future__ import annotations

import zipfile
from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    path = archive(folder, state({"weight": tensor()}), compression=zipfile.ZIP_DEFLATED)
    return Attack([path], "compressed")
