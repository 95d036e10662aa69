"""A shard of a near relative (another config, another release) is refused by what it is, with what
to write into the catalog."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.codecontests.generator import SCHEMA
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets_tests.corpora.conftest import (
    build_codecontests,
    build_humaneval,
    build_mbpp,
    problem,
    real,
)
from wmtp_assets_tests.corpora.layouts import Layout, write_layout

_SANITIZED: dict[str, Any] = {
    "source_file": "Benchmark Questions Verification V2.ipynb",
    "task_id": 2,
    "prompt": "Write a function.",
    "code": "def f(): pass",
    "test_imports": [],
    "test_list": ["assert f() is None"],
}
_HUMANEVAL = dict.fromkeys(
    ("task_id", "prompt", "canonical_solution", "test", "entry_point"), "HumanEval/0"
)
_RELATIVES: dict[str, tuple[Any, dict[str, Any], str, tuple[str, ...]]] = {
    "sanitized MBPP": (build_mbpp, _SANITIZED, "config sanitized", ("config full", "full/")),
    "MBPP+": (build_mbpp, {**_SANITIZED, "test": "x"}, "MBPP+", ("`layout: mbpp-plus`",)),
    "HumanEval for MBPP": (build_mbpp, _HUMANEVAL, "layout humaneval", ("`layout: humaneval`",)),
    "MBPP for HumanEval": (
        build_humaneval,
        {
            **dict.fromkeys(("text", "code", "test_setup_code"), "x"),
            "task_id": 1,
            "test_list": ["x"],
        },
        "layout mbpp",
        ("`layout: mbpp`",),
    ),
    "HumanEval+ as released": (
        build_humaneval,
        {
            **{name: "x" for name in _HUMANEVAL if name != "test"},
            "contract": "x",
            "base_input": [[1]],
            "plus_input": [[1]],
            "atol": 0,
        },
        "HumanEval+",
        ("`layout: humaneval-plus`", "evalplus/humanevalplus", "package_file"),
    ),
    "HumanEvalPack": (
        build_humaneval,
        {"task_id": "Python/0", "prompt": "x", "declaration": "x", "canonical_solution": "x"},
        "HumanEvalPack",
        ("openai_humaneval/test-*.parquet",),
    ),
    "Code-Contests-Plus": (
        build_codecontests,
        {
            "source": "Codeforces",
            "id": "1_A",
            "title": "x",
            "description": "x",
            "correct_submissions": [{"code": "x", "language": "python"}],
            "incorrect_submissions": [{"code": "x", "language": "python"}],
        },
        "Code-Contests-Plus",
        ("`layout: code-contests-plus`", "`difficulties_from`", "deepmind/code_contests"),
    ),
    "flat code_contests": (
        build_codecontests,
        {
            **{"name": "x", "description": "x", "source": 2, "difficulty": 7},
            **{"solution": "x", "language": "PYTHON3"},
        },
        "one solution per row",
        ("deepmind/code_contests",),
    ),
    "nothing known": (build_mbpp, {"question": "x", "answer": "y"}, "answer, question", ()),
}


@pytest.mark.parametrize("what", _RELATIVES)
def test_a_relative_is_refused_by_its_name_with_what_to_write(
    small_tokenizer: Path, tmp_path: Path, what: str
) -> None:
    build, row, found, advice = _RELATIVES[what]
    shard = tmp_path / "shard.parquet"
    pq.write_table(pa.Table.from_pylist([row]), shard)
    with pytest.raises(CorpusError) as refusal:
        build([shard], small_tokenizer, tmp_path, "test")
    assert found in str(refusal.value.found)
    for words in advice:
        assert words in str(refusal.value.hint)
    for words in (str(shard), "the columns of the layout"):
        assert words in str(refusal.value)
    assert len(str(refusal.value)) < 1500
    assert [path.name for path in tmp_path.iterdir()] == ["shard.parquet"]


def test_the_real_sanitized_mbpp_is_recognized(small_tokenizer: Path, tmp_path: Path) -> None:
    rows = json.loads(real("mbpp/sanitized-mbpp.json").read_bytes())
    shard = tmp_path / "test-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist(rows), shard)
    with pytest.raises(CorpusError, match="config sanitized of MBPP"):
        build_mbpp([shard], small_tokenizer, tmp_path, "test")


def test_the_formats_own_columns_are_no_relatives() -> None:
    for dataset_format in FORMATS.values():
        for relative in dataset_format.relatives:
            assert not relative.columns <= dataset_format.columns.keys()


def test_a_column_of_another_type_is_not_taken_for_another_dataset(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    shard = write_layout(tmp_path / "shard.parquet", [problem()], SCHEMA, Layout(extras=True))
    table = pq.read_table(shard)
    at = table.schema.get_field_index("difficulty")
    pq.write_table(table.set_column(at, "difficulty", pa.array(["HARD"])), shard)
    with pytest.raises(CorpusError) as refusal:
        build_codecontests([shard], small_tokenizer, tmp_path, "test")
    for words in ("difficulty", "an integer", "string", "Compare with the dataset's card"):
        assert words in str(refusal.value)
    assert "time_limit" not in str(refusal.value)  # which is right, and no part of the question
