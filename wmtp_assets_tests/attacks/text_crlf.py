"""Ends lines with two characters, or with the wrong one: both stay as they are."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.rows import RowAttack, one_problem


def build(folder: Path) -> RowAttack:
    shard = one_problem(
        folder,
        description="one\r\ntwo\rthree\n",
        public_tests={"input": ["1\r\n"], "output": ["2\r\n"]},
        solutions=[(3, "a\r\nb\r")],
    )
    fields = {
        "instruction": "one\r\ntwo\rthree\n",
        "input": "Input: 1\r\n\nOutput: 2\r\n",
        "output": "a\r\nb\r",
    }
    return RowAttack(shard, fields=fields, rows=1)
