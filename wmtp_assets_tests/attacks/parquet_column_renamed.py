"""Calls the column of the statements by another name."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.rows import RowAttack, changed


def build(folder: Path) -> RowAttack:
    shard = changed(folder, lambda table: table.rename_columns({"description": "statement"}))
    return RowAttack(shard, refused="description")
