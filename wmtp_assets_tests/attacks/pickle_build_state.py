"""Sets attributes of an object through BUILD."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle, text


def build(folder: Path) -> Attack:
    built = b"ccollections\nOrderedDict\n)R}" + text("__class__") + text("os") + b"sb"
    return refused_pickle(folder, b"\x80\x02" + built + b".", "sets the state")
