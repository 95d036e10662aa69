"""Holds the character that ends a text in C."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.rows import RowAttack, one_problem


def build(folder: Path) -> RowAttack:
    shard = one_problem(folder, name="a\0b", solutions=[(3, "x = '\0'\0")])
    fields = {"output": "x = '\0'\0", "task_id": "a\0b_correct_0"}
    return RowAttack(shard, fields=fields, rows=1)
