"""Runs a shell command through REDUCE of os.system, as the first entry of a state dict."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle, state, text, touch


def build(folder: Path) -> Attack:
    call = b"cos\nsystem\n(" + text(touch(folder)) + b"tR"
    return refused_pickle(folder, state({"weight": call}), "'os'.'system'")
