"""Nests 400,000 tuples, for a reader or a destructor that recurses."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, refused_pickle


def build(folder: Path) -> Attack:
    nested = b"\x80\x02)" + b"\x85" * 400_000 + b"."
    return refused_pickle(folder, nested, "holds a tuple")
