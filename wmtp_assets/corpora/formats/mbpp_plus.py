"""evalplus/mbppplus: 378 of MBPP's tasks with more tests; rows without a class.

The columns are those of https://huggingface.co/datasets/evalplus/mbppplus; a `test.jsonl`, which
the revision 8a14ef6256e2d9ba80a03e9ce57ee349a69e6399 has beside the Parquet, is what the package
evalplus reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from wmtp_assets.corpora.columns import Integer, Kind, Text, Texts
from wmtp_assets.corpora.dataset_format import TASK_ID, Relative, Rule
from wmtp_assets.corpora.package_file import EVALPLUS_FIELDS, PackageFile
from wmtp_assets.corpora.row_parser import Row
from wmtp_assets.corpora.runnable import FunctionRow, Functions, function_row
from wmtp_assets.corpora.solved_tasks import SolvedTasks

_TEXTS: Rule = {"type": "array", "items": {"type": "string"}}
_TESTS: Mapping[str, Rule] = {
    "test_imports": {**_TEXTS, "description": "Import statements that test_list needs."},
    "test_list": {**_TEXTS, "description": "MBPP's own assertions."},
    "test": {
        "type": "string",
        "minLength": 1,
        "description": "Code to run after the output: every input, with the result expected.",
    },
}


def _executed(row: Row) -> FunctionRow:
    """EvalPlus's test has every input of MBPP's assertions, some of which it corrected."""
    return function_row(row["output"], "\n".join([*row["test_imports"], row["test"]]))


class MbppPlus(SolvedTasks):
    """Upstream's `prompt` is the instruction and `code` the output."""

    name = "mbpp-plus"
    label = "mbpp-plus"
    source = "mbpp-plus"
    columns: ClassVar[Mapping[str, Kind]] = {
        "task_id": Integer(),
        "prompt": Text(),
        "code": Text(),
        "test_imports": Texts(),
        "test_list": Texts(),
        "test": Text(),
    }
    instruction = "prompt"
    solution = "code"
    fields: ClassVar[Mapping[str, Rule]] = {"task_id": TASK_ID, **_TESTS}
    metadata_fields = _TESTS
    tests_field = "test"
    execution = Functions(_executed)
    relatives: ClassVar[Sequence[Relative]] = (
        Relative(
            "MBPP+ as the package evalplus reads it, with inputs in place of tests",
            frozenset({"base_input", "plus_input"}),
            "Name data/test-*.parquet among the files of the split, and the JSONL as the dataset's "
            "package_file.",
        ),
    )
    package = PackageFile("evalplus", "MBPP_OVERRIDE_PATH", EVALPLUS_FIELDS)
    growth = 14  # 378 rows of 13 kB in 1.1 MB of Parquet, each test twice
    row_bytes = 25_500


FORMAT = MbppPlus()
