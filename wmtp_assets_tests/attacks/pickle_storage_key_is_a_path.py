"""Takes the storage key '../../../../etc/passwd'."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle, state, tensor


def build(folder: Path) -> Attack:
    pickle = state({"weight": tensor(key="../../../../etc/passwd")})
    return refused_pickle(folder, pickle, "not one that torch writes")
