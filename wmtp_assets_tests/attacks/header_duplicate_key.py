"""Names one tensor twice; the library takes the last."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, header_attack


def build(folder: Path) -> Attack:
    one = '"a":{"dtype":"F32","shape":[6],"data_offsets":[0,24]}'
    return header_attack(folder, f"{{{one},{one}}}".encode(), bytes(24), "'a' occurs twice")
