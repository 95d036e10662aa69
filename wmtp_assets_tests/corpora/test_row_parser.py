"""A line gives the row that `json.loads` gives, whether or not its problem's texts are known."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from wmtp_assets.corpora.row_parser import LineParser

# No lone surrogates: the build replaces them.
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_TRAPS = st.sampled_from(['", "output": "', '"output": "x"', "\\", '\\"', "\x7f\x00\u2028", "𝄞\n"])
_ANY = st.lists(st.one_of(_TEXT, _TRAPS), max_size=3).map("".join)
_ENDS = st.one_of(
    st.fixed_dictionaries(
        {
            "task_id": _ANY,
            "is_correct": st.booleans(),
            "metadata": st.fixed_dictionaries(
                {"source": _ANY, "difficulty": st.integers(0, 30), "has_tests": st.booleans()}
            ),
        }
    ),
    st.fixed_dictionaries({"task_id": _ANY, "test_list": st.lists(_ANY, max_size=3)}),
)


@settings(max_examples=300, deadline=None)
@given(head=st.tuples(_ANY, _ANY), outputs=st.lists(st.tuples(_ANY, _ENDS), min_size=1, max_size=4))
def test_any_line_of_a_problem_is_what_json_makes_of_it(
    head: tuple[str, str], outputs: list[tuple[str, dict[str, Any]]]
) -> None:
    parser = LineParser()
    for output, end in outputs:
        record = {"instruction": head[0], "input": head[1], "output": output, **end}
        line = json.dumps(record).encode() + b"\n"
        expected = json.loads(line)
        for _ in range(2):
            row = parser.row(7, line)
            assert row == expected
            assert list(row) == list(expected)
    assert parser.heads.keys() == {7}
