"""Holds two pickles, of which a proof may read one and a loader the other."""

from __future__ import annotations

import zipfile
from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    path = archive(folder, state({"weight": tensor()}))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("other/data.pkl", state({"weight": tensor()}))
    return Attack([path], "not written by torch.save")
