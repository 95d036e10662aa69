"""Names one tensor twice, once in each shard."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.building import Attack, index_attack, places


def build(folder: Path) -> Attack:
    entries = ", ".join(f'"{key}": "{place}"' for key, place in places().items())
    again = '"a": "pytorch_model-00002-of-00002.bin"'
    index = f'{{"metadata": {{}}, "weight_map": {{{entries}, {again}}}}}'
    return index_attack(folder, index, "'a' occurs twice")
