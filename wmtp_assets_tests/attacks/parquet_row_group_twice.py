"""Holds one row group twice: every file is sound, and there are more rows than upstream has."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.rows import ROWS_PER_GROUP, SOUND_ROWS, RowAttack, groups


def build(folder: Path) -> RowAttack:
    shard = groups(folder, (0, 1, 1, 2))
    return RowAttack(shard, caught="row_counts", rows=SOUND_ROWS + 2 * ROWS_PER_GROUP)
