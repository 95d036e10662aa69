"""Is a zip archive of something else."""

from __future__ import annotations

import zipfile
from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack


def build(folder: Path) -> Attack:
    path = folder / "weights.pth"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "hello")
    return Attack([path], "not written by torch.save")
