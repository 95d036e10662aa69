"""Has null wherever upstream's schema lets it: texts read as empty, numbers as unknown."""

from __future__ import annotations

from pathlib import Path

from wmtp_assets_tests.attacks.rows import RowAttack, one_problem


def build(folder: Path) -> RowAttack:
    shard = one_problem(
        folder,
        name=None,
        description=None,
        public_tests={"input": None, "output": None},
        source=None,
        difficulty=None,
        cf_rating=None,
        solutions=[(3, None), (3, "x = 1")],
        incorrect_solutions=None,
    )
    fields = {
        "instruction": "",
        "input": "",
        "output": "x = 1",
        "task_id": "_correct_1",
        "metadata": {"source": "code_contests", "difficulty": 0, "has_tests": False},
    }
    return RowAttack(shard, fields=fields, rows=1)
