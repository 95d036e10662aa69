"""Makes an object of a class with NEWOBJ."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle


def build(folder: Path) -> Attack:
    return refused_pickle(folder, b"\x80\x02csubprocess\nPopen\n)\x81.", "'subprocess'.'Popen'")
