"""Leaves out the column of the wrong solutions."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.rows import RowAttack, changed


def build(folder: Path) -> RowAttack:
    shard = changed(folder, lambda table: table.drop_columns(["incorrect_solutions"]))
    return RowAttack(shard, refused="incorrect_solutions")
