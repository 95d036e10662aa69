"""Rows checked in columns: nothing wrong is passed over, and each fault is named by its line."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wmtp_assets.corpora import metadata_checks, row_scan
from wmtp_assets.corpora.row_index import IndexWriter, RowIndex
from wmtp_assets.corpora.row_validation import type_faults, value_faults
from wmtp_assets.corpora.scanned_rows import ScannedRows
from wmtp_assets.corpora.schema import row_schema
from wmtp_assets_tests.corpora.conftest import BY_LABEL

RECORDS: dict[str, dict[str, Any]] = {
    "codecontests": {
        "instruction": "Add two numbers.",
        "input": "",
        "output": "print(1)\n",
        "task_id": "add_correct_0",
        "is_correct": True,
        "metadata": {"source": "code_contests", "difficulty": 7, "has_tests": True},
    },
    "mbpp": {
        "instruction": "Add.",
        "input": "",
        "output": "def f(): pass",
        "task_id": "11",
        "test_list": ["assert f() is None"],
        "test_setup_code": "",
        "metadata": {
            "source": "mbpp",
            "test_list": ["assert f() is None"],
            "test_setup_code": "",
            "has_tests": True,
        },
    },
    "humaneval": {
        "instruction": "def f():",
        "input": "",
        "output": "    pass",
        "task_id": "HumanEval/0",
        "test": "def check(candidate): pass",
        "entry_point": "f",
        "metadata": {
            "source": "humaneval",
            "test": "def check(candidate): pass",
            "entry_point": "f",
            "has_tests": True,
        },
    },
}
ODD: list[object] = [
    *(None, True, False, 0, 1, 18, 30, -1, 2**63, 1.0, 7.5),
    *("", "code_contests", "x_incorrect_3", "x_correct_", "7"),
    *([], [None], [1], ["a", None], ["a"], {}, {"difficulty": 7}),
]


def surveyed(folder: Path, dataset: str, lines: list[bytes]) -> ScannedRows:
    """`lines` as a split with an index that describes them, looked at."""
    jsonl, index = folder / "rows.jsonl", folder / "rows.index.parquet"
    jsonl.write_bytes(b"".join(lines))
    lengths = np.array([len(line) for line in lines], np.int32)
    columns = {
        "offset": np.cumsum(lengths, dtype=np.int64) - lengths,
        "length": lengths,
        "is_correct": np.ones(len(lines), np.bool_),
        "difficulty": np.full(len(lines), 7, np.int16),
    }
    if dataset != "codecontests":
        del columns["is_correct"], columns["difficulty"]
    with index.open("wb") as file:
        writer = IndexWriter(file)
        writer.write(columns, len(lines))
        writer.close({})
    return row_scan.scan_rows(jsonl, BY_LABEL[dataset], RowIndex(index))


def line(record: object) -> bytes:
    return json.dumps(record).encode() + b"\n"


@st.composite
def changed(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A record with one field changed, gone, or added, at the top or within its metadata."""
    dataset = draw(st.sampled_from(sorted(RECORDS)))
    record: dict[str, Any] = json.loads(json.dumps(RECORDS[dataset]))
    place = draw(st.sampled_from(["top", "metadata"]))
    target = record if place == "top" else record["metadata"]
    name = draw(st.sampled_from([*target, "more", "difficulty"]))
    if draw(st.booleans()) and name in target:
        del target[name]
    else:
        target[name] = draw(st.sampled_from(ODD) | st.text(max_size=4))
    return dataset, record


@settings(max_examples=300, deadline=None)
@given(changed())
def test_the_declared_schema_and_schema_json_say_the_same(case: tuple[str, dict[str, Any]]) -> None:
    dataset, record = case
    validator = jsonschema.Draft202012Validator(row_schema(BY_LABEL[dataset]))
    # JSON Schema takes 1.0 for an integer and any size of one; the index cannot hold those.
    valid = validator.is_valid(record) and not _beyond_integers(record)
    found = type_faults(record, BY_LABEL[dataset])
    if not found and all(_is_text(text) for text in _texts(record)):
        found = value_faults(row_scan.parsed(line(record), BY_LABEL[dataset]), BY_LABEL[dataset], 0)
    assert bool(found) is not valid, (record, found)


def _beyond_integers(value: object) -> bool:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return any(map(_beyond_integers, inner))
    return isinstance(value, float)


def _texts(value: object) -> list[str]:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return [text for each in inner for text in _texts(each)]
    return [value] if isinstance(value, str) else []


def _is_text(text: str) -> bool:
    return all(not 0xD800 <= ord(char) < 0xE000 for char in text)


def test_lines_of_one_problem_are_looked_at_as_if_each_stood_alone(tmp_path: Path) -> None:
    """Instruction and input, equal to those of the line before, are not parsed again."""
    record = RECORDS["codecontests"]
    marks = 'x", "output": "y'  # escaped in a line: no end of a head
    heads = [{"instruction": marks, "input": marks + end} for end in "ab"]
    lines = [
        line({**record, **heads[at % 7 % 2], "output": marks, "task_id": f"x_correct_{at}"})
        for at in range(20)
    ]
    assert not (found := surveyed(tmp_path, "codecontests", lines)).not_schema
    assert (found.rows, found.repeated_task_ids) == (20, 0)
    again = lines[7].replace(b'"output": ', b'"input": "twice", "output": ')
    without = lines[7].replace(b'"input": ', b'"given": ')
    # As long as the line before, and no JSON: one whose head must not be taken for that line's.
    damaged = lines[7].replace(b'"instruction": "x', b'"instruction": "\\', 1)
    assert len(damaged) == len(lines[7])
    for wrong in (damaged, again, without, lines[7].replace(b"}}", b"}"), b"{}" + lines[7]):
        found = surveyed(tmp_path, "codecontests", [*lines[:7], wrong, *lines[8:]])
        faults = found.not_schema + found.not_json
        assert faults, wrong
        assert all(fault.startswith("line 7:") for fault in faults)


def test_the_facts_of_lines_are_those_that_their_ends_state(tmp_path: Path) -> None:
    record = RECORDS["codecontests"]
    lines = [
        line({**record, "is_correct": at % 3 == 0, "task_id": f"x_correct_{at}"})
        for at in range(50)
    ]
    facts = surveyed(tmp_path, "codecontests", lines).facts
    assert facts is not None
    known = [pair for some in metadata_checks._line_facts(tmp_path / "rows.jsonl") for pair in some]
    pairs = zip(facts.is_correct.tolist(), facts.difficulty.tolist(), strict=True)
    assert [(bool(is_correct), difficulty) for is_correct, difficulty in pairs] == known
    lines[3] = lines[3].replace(b'"is_correct": true', b'"is_correct": "yes"')
    assert surveyed(tmp_path, "codecontests", lines).facts is None


@settings(max_examples=60, deadline=None)
@given(case=changed(), at=st.integers(0, 40), block=st.sampled_from([1, 700, 1 << 20]))
def test_a_fault_is_named_by_its_line_whatever_the_blocks(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[str, dict[str, Any]], at: int, block: int
) -> None:
    dataset, record = case
    lines = [line(RECORDS[dataset] | {"task_id": f"t_correct_{n}"}) for n in range(41)]
    lines[at] = line(record)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_scan, "_BLOCK", block)
        found = surveyed(tmp_path_factory.mktemp("rows"), dataset, lines)
    assert found.rows == 41
    expected = bool(type_faults(record, BY_LABEL[dataset])) or not jsonschema.Draft202012Validator(
        row_schema(BY_LABEL[dataset])
    ).is_valid(record)
    assert bool(found.not_schema) is expected, found.not_schema
    assert all(f"line {at}: " in fault for fault in found.not_schema)


@pytest.mark.parametrize(
    "broken",
    [
        b"\n",
        b" \n",
        b"null\n",
        b"[]\n",
        b'{"instruction": "a"\n',
        b'{"a": 1, "a": 1}\n',
        b"\xff\xfe\n",
        b"{}\r\n",
    ],
)
@pytest.mark.parametrize("at", [0, 5, 9])
def test_a_line_that_is_no_record_is_named(broken: bytes, at: int, tmp_path: Path) -> None:
    lines = [line(RECORDS["codecontests"] | {"task_id": f"a_correct_{n}"}) for n in range(10)]
    lines[at] = broken
    found = surveyed(tmp_path, "codecontests", lines)
    assert found.not_json == [f"line {at}: not a JSON object and one newline"]
    assert found.classes["correct"] == 9


def test_a_text_that_is_no_unicode_is_named(tmp_path: Path) -> None:
    lines = [line(RECORDS["mbpp"] | {"task_id": str(n)}) for n in range(5)]
    lines[3] = lines[3].replace(b"Add.", b"Add\\ud800.")
    found = surveyed(tmp_path, "mbpp", lines)
    assert [fault[:7] for fault in found.not_schema] == ["line 3:"]


def test_two_records_on_one_line_and_one_on_two_are_seen(tmp_path: Path) -> None:
    one = line(RECORDS["codecontests"])
    assert surveyed(tmp_path, "codecontests", [one, one[:-1] + one, one]).not_json
    halves = [one[:40] + b"\n", one[40:]]
    assert len(surveyed(tmp_path, "codecontests", [one, *halves]).not_json) == 2


def test_a_field_given_twice_is_seen(tmp_path: Path) -> None:
    twice = line(RECORDS["codecontests"]).replace(b'{"inst', b'{"output": "other", "inst', 1)
    assert surveyed(tmp_path, "codecontests", [twice]).not_json


def test_repeated_task_ids_are_counted_over_all_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [*range(50), 7, 7, 30]
    random.Random(1).shuffle(numbers)
    lines = [line(RECORDS["mbpp"] | {"task_id": f"{n}"}) for n in numbers]
    monkeypatch.setattr(row_scan, "_BLOCK", 1000)
    assert surveyed(tmp_path, "mbpp", lines).repeated_task_ids == 3
