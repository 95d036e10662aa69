"""What formats say of how their rows are executed."""

from __future__ import annotations

import gzip
import json

import pytest

from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.runnable import (
    DEFAULT_MEMORY,
    DEFAULT_SECONDS,
    LEAST_MEMORY,
    Functions,
    Programs,
    RowLimits,
)
from wmtp_assets_tests.corpora.conftest import CODE_CONTESTS, real


def functions(name: str) -> Functions:
    execution = FORMATS[name].execution
    assert isinstance(execution, Functions)
    return execution


def test_which_formats_are_executed() -> None:
    assert {name for name, one in FORMATS.items() if one.execution is not None} == {
        "code-contests",
        "humaneval",
        "humaneval-plus",
        "mbpp",
        "mbpp-plus",
    }
    for one in FORMATS.values():  # programs need tests of whole problems
        assert not isinstance(one.execution, Programs) or one.evaluation is not None
        assert one.current.execution is one.execution


@pytest.mark.parametrize(
    ("facts", "limits"),
    [
        ({}, RowLimits(DEFAULT_SECONDS, DEFAULT_MEMORY)),
        ({"time_limit": None, "memory_limit_bytes": 0}, RowLimits()),
        ({"time_limit": {"seconds": 0, "nanos": 0}}, RowLimits()),
        (
            {"time_limit": {"seconds": 1, "nanos": 500_000_000}, "memory_limit_bytes": 512 << 20},
            RowLimits(3.0, 512 << 20),
        ),
        ({"time_limit": {"seconds": 4, "nanos": 0}}, RowLimits(8.0)),
        ({"memory_limit_bytes": 64_000_000}, RowLimits(memory_bytes=LEAST_MEMORY)),
    ],
)
def test_limits_of_a_problem(facts: dict[str, object], limits: RowLimits) -> None:
    execution = CODE_CONTESTS.execution
    assert isinstance(execution, Programs)
    assert execution.limits(facts) == limits


def test_a_row_of_mbpp_has_its_setup_before_its_assertions() -> None:
    row = functions("mbpp").of(
        {
            "output": "class Pair:\r\n    pass\r\ndef helper(x):\r\n    return x\r\n"
            "def longest(a, n):\r\n    def inner():\r\n        pass\r\n",
            "test_setup_code": "p = Pair()",
            "test_list": ["assert longest([p], 1) == 1", "assert longest([inner], 0) == 0"],
        }
    )
    assert row.tests.splitlines() == [
        "p = Pair()",
        "assert longest([p], 1) == 1",
        "assert longest([inner], 0) == 0",
    ]
    assert row.entry_points == ("Pair", "longest")


def test_a_row_of_mbpp_plus_has_its_imports_first() -> None:
    row = functions("mbpp-plus").of(
        {"output": "def f(): pass", "test_imports": ["import math"], "test_list": [], "test": "f()"}
    )
    assert row.tests == "import math\nf()"
    assert row.entry_points == ("f",)


def test_rows_of_humaneval_define_what_their_tests_call() -> None:
    lines = gzip.decompress(real("humaneval/HumanEval.jsonl.gz").read_bytes()).splitlines()
    execution = functions("humaneval")
    several = []
    for line in lines:
        given = json.loads(line)
        row = execution.of(
            {"instruction": given["prompt"], "output": given["canonical_solution"], **given}
        )
        assert row.entry_points[0] == given["entry_point"]
        assert row.tests.endswith(f"\ncheck({given['entry_point']})")
        if len(row.entry_points) > 1:
            several.append(row.entry_points)
    # Three tests use a function of the prompt.
    assert several == [
        ("find_zero", "poly"),
        ("decode_cyclic", "encode_cyclic"),
        ("decode_shift", "encode_shift"),
    ]
