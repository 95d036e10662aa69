"""Stores difficulties as texts, which would sort and compare as texts."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from wmtp_assets_tests.attacks.rows import RowAttack, changed


def retyped(table: pa.Table) -> pa.Table:
    at = table.schema.get_field_index("difficulty")
    return table.set_column(at, "difficulty", table["difficulty"].cast(pa.string()))


def build(folder: Path) -> RowAttack:
    return RowAttack(changed(folder, retyped), refused="difficulty")
