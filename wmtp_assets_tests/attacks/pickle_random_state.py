"""Holds a numpy array, as rng_state.pth does: rebuilding it means calling numpy."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, number, refused_pickle, state


def build(folder: Path) -> Attack:
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + number(0) + b"ttR"
    return refused_pickle(folder, state({"np_rng_state": array}), "numpy.core.multiarray")
