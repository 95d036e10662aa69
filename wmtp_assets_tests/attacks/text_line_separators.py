"""Holds characters that some readers take for the end of a line: U+2028, U+2029, U+0085, \\x0b."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.rows import RowAttack, one_problem

TEXT = "a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg"


def build(folder: Path) -> RowAttack:
    shard = one_problem(folder, description=TEXT, solutions=[(3, TEXT)])
    return RowAttack(shard, fields={"instruction": TEXT, "output": TEXT}, rows=1)
