"""Shares one storage among a tensor, its twin and a part of it: each reads as it should."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import VALUES, Attack, archive, state, tensor


def build(folder: Path) -> Attack:
    items = {
        "whole": tensor(shape=(2, 3), strides=(3, 1)),
        "twin": tensor(shape=(2, 3), strides=(3, 1)),
        "part": tensor(offset=4, shape=(2,)),
    }
    whole = VALUES.reshape(2, 3)
    reads = {"whole": whole, "twin": whole, "part": VALUES[4:]}
    return Attack([archive(folder, state(items))], None, reads=reads)
