"""google-research-datasets/mbpp: Python tasks with assertions; rows without a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from wmtp_assets.corpora.columns import Integer, Kind, Text, Texts
from wmtp_assets.corpora.dataset_format import TASK_ID, Relative, Rule
from wmtp_assets.corpora.solved_tasks import SolvedTasks


class Mbpp(SolvedTasks):
    """Upstream's `text` is the instruction and `code` the output."""

    name = "mbpp"
    label = "mbpp"
    source = "mbpp"
    columns: ClassVar[Mapping[str, Kind]] = {
        "task_id": Integer(),
        "text": Text(),
        "code": Text(),
        "test_list": Texts(),
        "test_setup_code": Text(),
    }
    instruction = "text"
    solution = "code"
    fields: ClassVar[Mapping[str, Rule]] = {
        "task_id": TASK_ID,
        "test_list": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "description": "Assertions that the output must pass.",
        },
        "test_setup_code": {
            "type": "string",
            "description": "Code to run after the output and before the assertions.",
        },
    }
    tests_field = "test_list"
    relatives: ClassVar[Sequence[Relative]] = (
        Relative(
            "MBPP+ (evalplus/mbppplus)",
            frozenset({"prompt", "test_imports", "test"}),
            "Add a format for MBPP+ (docs/how-to-add-a-dataset.md has it), or name the files of "
            "the config full of google-research-datasets/mbpp in the catalog.",
        ),
        Relative(
            "the config sanitized of MBPP",
            frozenset({"prompt", "test_imports"}),
            "Name the files of the config full in the catalog, full/<split>-*.parquet, and the "
            "counts of its splits: train 374, validation 90, test 500, prompt 10.",
        ),
    )
    growth = 4  # measured with the 974 published rows: 3.0, index and statistics included
    row_bytes = 650


FORMAT = Mbpp()
