"""schema.json: what a row of each dataset looks like, as JSON Schema (draft 2020-12)."""

from __future__ import annotations

from typing import Any

from wmtp_assets.corpora import records
from wmtp_assets.corpora.errors import CorpusError

_TEXT = {"type": "string"}

# Upstream's proto: 0 unknown, 1-5 EASY to HARDEST, 6 EXTERNAL, 7 A ... 29 V; the number 18 is not
# used, as 5 is not among the sources. The Hub's ClassLabel names hide both gaps.
DIFFICULTIES = tuple(value for value in range(30) if value != 18)
SOURCES = (0, 1, 2, 3, 4, 6, 7)

_TESTS: dict[str, dict[str, Any]] = {
    records.CODECONTESTS: {},
    records.MBPP: {
        "test_list": {
            "type": "array",
            "items": _TEXT,
            "minItems": 1,
            "description": "Assertions that the output must pass.",
        },
        "test_setup_code": {
            "type": "string",
            "description": "Code to run after the output and before the assertions.",
        },
    },
    records.HUMANEVAL: {
        "test": {"type": "string", "minLength": 1, "description": "Defines check(candidate)."},
        "entry_point": {
            "type": "string",
            "minLength": 1,
            "description": "The function that instruction + output defines.",
        },
    },
}
_METADATA_SOURCE = {
    records.CODECONTESTS: "code_contests",
    records.MBPP: "mbpp",
    records.HUMANEVAL: "humaneval",
}


def row_schema(dataset: str) -> dict[str, Any]:
    """The JSON Schema of one line of `dataset` (codecontests, mbpp or humaneval).

    Raises CorpusError for any other name.
    """
    if dataset not in records.DATASETS:
        raise CorpusError(
            "There are no rows of this dataset",
            expected=", ".join(records.DATASETS),
            found=dataset,
        )
    classed = dataset == records.CODECONTESTS
    task_id = {"type": "string", "minLength": 1, "description": "Unique within the split."}
    if classed:
        task_id["pattern"] = "_(in)?correct_[0-9]+$"
    properties: dict[str, Any] = {
        "instruction": {"type": "string", "description": "The problem's statement."},
        "input": {"type": "string", "description": "Up to two public tests, or empty."},
        "output": {"type": "string", "description": "The solution."},
        "task_id": task_id,
        **({"is_correct": {"type": "boolean"}} if classed else {}),
        **_TESTS[dataset],
        "metadata": {
            "type": "object",
            "properties": {
                "source": {"const": _METADATA_SOURCE[dataset]},
                "difficulty": (
                    {"type": "integer", "enum": list(DIFFICULTIES)} if classed else {"type": "null"}
                ),
                "has_tests": {"type": "boolean"},
            },
            "required": ["source", "difficulty", "has_tests"],
            "additionalProperties": False,
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A row of {dataset}",
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
