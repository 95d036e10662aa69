"""Evaluates Python source through builtins.eval."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle, state, text


def build(folder: Path) -> Attack:
    call = b"cbuiltins\neval\n(" + text("__import__('os').getpid()") + b"tR"
    return refused_pickle(folder, state({"weight": call}), "'builtins'.'eval'")
