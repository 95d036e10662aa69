"""Names a module that is a tuple of 2^40 elements by reference, to be printed in an error."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle, text


def build(folder: Path) -> Attack:
    laughs = text("ha") + b"q\x00" + b"".join(b"h%ch%c\x86q%c" % (i, i, i + 1) for i in range(40))
    return refused_pickle(folder, b"\x80\x02" + laughs + text("x") + b"\x93.", "a tuple")
