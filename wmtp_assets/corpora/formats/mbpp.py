"""google-research-datasets/mbpp: Python tasks with assertions; rows without a class."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from wmtp_assets.corpora.columns import Integer, Kind, Text, Texts
from wmtp_assets.corpora.dataset_format import TASK_ID, DatasetFormat, Relative, Rule
from wmtp_assets.corpora.row_parser import Row
from wmtp_assets.corpora.runnable import FunctionRow, Functions, function_row
from wmtp_assets.corpora.solved_tasks import Raw, SolvedTasks

_CALL: Final = re.compile(rb"\b([A-Za-z_]\w*)\s*\(")
_DEFINITION: Final = re.compile(rb"\bdef\s+([A-Za-z_]\w*)")
_KEYWORDS: Final = {word.encode() for word in keyword.kwlist}

_TESTS: Mapping[str, Rule] = {
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


def _executed(row: Row) -> FunctionRow:
    tests = "\n".join([row["test_setup_code"], *row["test_list"]])
    return function_row(row["output"], tests)


class Mbpp(SolvedTasks):
    """Upstream's `text` is the instruction and `code` the output."""

    name = "mbpp"
    label = "mbpp"
    citation = (
        "J. Austin et al., Program Synthesis with Large Language Models, 2021, "
        "https://arxiv.org/abs/2108.07732"
    )
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
    fields: ClassVar[Mapping[str, Rule]] = {"task_id": TASK_ID, **_TESTS}
    metadata_fields = _TESTS
    tests_field = "test_list"
    execution = Functions(_executed)
    relatives: ClassVar[Sequence[Relative]] = (
        Relative(
            "MBPP+ (evalplus/mbppplus)",
            frozenset({"prompt", "test_imports", "test"}),
            "Write `layout: mbpp-plus` into the catalog's entry, or name the files of the config "
            "full of google-research-datasets/mbpp there.",
        ),
        Relative(
            "the config sanitized of MBPP",
            frozenset({"prompt", "test_imports"}),
            "Name the files of the config full in the catalog, full/<split>-*.parquet, and the "
            "counts of its splits: train 374, validation 90, test 500, prompt 10.",
        ),
    )
    version = "2"  # tests in metadata, and no difficulty there
    growth = 6  # measured with the 974 published rows: 4.0 (5.6 of zstd), index and all included
    row_bytes = 860

    @property
    def current(self) -> DatasetFormat:
        return _CURRENT


class _Named(Mbpp):
    """As today's training code reads the rows: the instruction names the function, without which
    most references could not be called by the tests."""

    def instruction_of(self, raw: Raw) -> bytes:
        text = super().instruction_of(raw)
        name = _function_tested(raw)
        return text + b"\n\nThe function should be named '" + name + b"'." if name else text


def _function_tested(raw: Raw) -> bytes | None:
    """The first call in the first test, of a function that the reference defines if there is one.

    By its text: nothing of upstream is parsed as a program. The test of task 912 begins with
    `int(lobb_num(5, 3))`, and it is not `int` that is to be written.
    """
    tests: Sequence[bytes | None] = raw["test_list"] or ()
    calls = _CALL.findall((tests[0] if tests else b"") or b"")
    called = [name for name in calls if name not in _KEYWORDS]
    defined = set(_DEFINITION.findall(raw["code"] or b""))
    return next((name for name in called if name in defined), called[0] if called else None)


FORMAT = Mbpp()
_CURRENT = _Named()
