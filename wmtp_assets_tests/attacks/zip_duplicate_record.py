"""Holds two records of one name: readers differ in which they take."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    path = archive(folder, state({"weight": tensor()}))
    with zipfile.ZipFile(path, "a") as file, warnings.catch_warnings(action="ignore"):
        file.writestr("archive/data/0", bytes(24))
    return Attack([path], "occurs twice")
