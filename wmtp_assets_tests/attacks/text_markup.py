"""Calls a problem by markup, a link and a terminal's escape codes: data, kept as it is."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.rows import RowAttack, one_problem

NAME = "<img src=x onerror=alert(1)> ![x](https://example.org) \x1b[2J \u202e"


def build(folder: Path) -> RowAttack:
    shard = one_problem(folder, name=NAME)
    return RowAttack(shard, fields={"task_id": f"{NAME}_correct_0"}, rows=1)
