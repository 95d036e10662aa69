"""openai/openai_humaneval: functions to complete, with a test; rows without a class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from wmtp_assets.corpora.columns import Kind, Text
from wmtp_assets.corpora.dataset_format import TASK_ID, Rule
from wmtp_assets.corpora.solved_tasks import SolvedTasks


class HumanEval(SolvedTasks):
    """Upstream's `prompt` is the instruction and `canonical_solution` the output."""

    name = "humaneval"
    label = "humaneval"
    source = "humaneval"
    columns: ClassVar[Mapping[str, Kind]] = {
        "task_id": Text(),
        "prompt": Text(),
        "canonical_solution": Text(),
        "test": Text(),
        "entry_point": Text(),
    }
    instruction = "prompt"
    solution = "canonical_solution"
    fields: ClassVar[Mapping[str, Rule]] = {
        "task_id": TASK_ID,
        "test": {"type": "string", "minLength": 1, "description": "Defines check(candidate)."},
        "entry_point": {
            "type": "string",
            "minLength": 1,
            "description": "The function that instruction + output defines.",
        },
    }
    tests_field = "test"
    growth = 4  # measured with the 164 published rows: 2.9, index and statistics included
    row_bytes = 1_400


FORMAT = HumanEval()
