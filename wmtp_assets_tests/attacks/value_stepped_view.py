"""Shows every second element of its storage."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import VALUES, Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    pickle = state({"weight": tensor(shape=(3,), strides=(2,), offset=1)})
    return Attack([archive(folder, pickle)], None, reads={"weight": VALUES[1::2]})
