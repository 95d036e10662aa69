"""Is 200 kB that unpack to 200 MB."""

from __future__ import annotations

import zipfile
from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    zeros = {"0": bytes(200_000_000)}
    pickle = state({"weight": tensor(elements=50_000_000, shape=(50_000_000,))})
    path = archive(folder, pickle, zeros, compression=zipfile.ZIP_DEFLATED)
    return Attack([path], "compressed")
