"""openai/openai_humaneval: functions to complete, with a test; rows without a class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from wmtp_assets.corpora.columns import Kind, Text
from wmtp_assets.corpora.dataset_format import TASK_ID, Relative, Rule
from wmtp_assets.corpora.row_parser import Row
from wmtp_assets.corpora.runnable import FunctionRow, Functions, function_row
from wmtp_assets.corpora.solved_tasks import SolvedTasks

_TESTS: Mapping[str, Rule] = {
    "test": {"type": "string", "minLength": 1, "description": "Defines check(candidate)."},
    "entry_point": {
        "type": "string",
        "minLength": 1,
        "description": "The function that instruction + output defines.",
    },
}


def _executed(row: Row) -> FunctionRow:
    """The prompt holds imports, and functions that some tests use beside the one asked for."""
    name = row["entry_point"]
    tests = f"{row['test']}\ncheck({name})"
    return function_row(row["instruction"] + row["output"], tests, name)


class HumanEval(SolvedTasks):
    """Upstream's `prompt` is the instruction and `canonical_solution` the output."""

    name = "humaneval"
    label = "humaneval"
    citation = (
        "M. Chen et al., Evaluating Large Language Models Trained on Code, 2021, "
        "https://arxiv.org/abs/2107.03374"
    )
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
    fields: ClassVar[Mapping[str, Rule]] = {"task_id": TASK_ID, **_TESTS}
    metadata_fields = _TESTS
    tests_field = "test"
    execution = Functions(_executed)
    relatives: ClassVar[Sequence[Relative]] = (
        Relative(
            "HumanEval+ as its authors' releases have it, with inputs in place of tests",
            frozenset({"base_input", "plus_input"}),
            "Write `layout: humaneval-plus` into the catalog's entry, with the files "
            "data/test-*.parquet of evalplus/humanevalplus and this one as package_file, or name "
            "openai/openai_humaneval.",
        ),
        Relative(
            "HumanEval-X or HumanEvalPack, which hold several languages",
            frozenset({"declaration", "canonical_solution"}),
            "Name the files of openai/openai_humaneval in the catalog: "
            "openai_humaneval/test-*.parquet.",
        ),
    )
    version = "2"  # tests in metadata, and no difficulty there
    growth = 6  # measured with the 164 published rows: 4.1 (5.4 of zstd), index and all included
    row_bytes = 1_950


FORMAT = HumanEval()
