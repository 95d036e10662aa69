"""MBPP and HumanEval go through the same record, writer, metadata and index."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wmtp_assets.corpora import records
from wmtp_assets.corpora.checks import check_split
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.metadata import write_metadata
from wmtp_assets.corpora.metadata_checks import check_metadata
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets_tests.corpora import reference
from wmtp_assets_tests.corpora.conftest import BY_LABEL, build_humaneval, build_mbpp, real, rows_of
from wmtp_assets_tests.corpora.layouts import LISTS, TEXTS, Layout, write_layout

_MBPP = pa.schema(
    [
        ("task_id", pa.int32()),
        ("text", pa.string()),
        ("code", pa.string()),
        ("test_list", pa.list_(pa.string())),
        ("test_setup_code", pa.string()),
        ("challenge_test_list", pa.list_(pa.string())),
    ]
)
_HUMANEVAL = pa.schema(
    [
        (name, pa.string())
        for name in ("task_id", "prompt", "canonical_solution", "test", "entry_point")
    ]
)
_SPLITS = {"test": (11, 510, 500), "validation": (511, 600, 90), "train": (601, 974, 374)}


@pytest.mark.parametrize("split", _SPLITS)
def test_real_mbpp_gives_every_row_of_its_split(
    real_tokenizer: Path, tmp_path: Path, split: str
) -> None:
    first, last, count = _SPLITS[split]
    upstream = [json.loads(line) for line in real("mbpp/mbpp.jsonl").open()]
    upstream = [row for row in upstream if first <= row["task_id"] <= last]
    shard = tmp_path / "shard.parquet"
    pq.write_table(pa.Table.from_pylist(upstream, schema=_MBPP), shard)
    report = build_mbpp([shard], real_tokenizer, tmp_path, split)
    expected = [
        json.dumps(
            {
                "instruction": row["text"],
                "input": "",
                "output": row["code"],
                "task_id": str(row["task_id"]),
                "test_list": row["test_list"],
                "test_setup_code": row["test_setup_code"],
                "metadata": {
                    "source": "mbpp",
                    "test_list": row["test_list"],
                    "test_setup_code": row["test_setup_code"],
                    "has_tests": True,
                },
            }
        )
        for row in upstream
    ]
    assert report.jsonl.read_bytes().decode().split("\n") == [*expected, ""]
    assert (report.rows, report.correct, report.incorrect) == (count, None, None)
    _prove(report.jsonl, report.index, "mbpp", real_tokenizer, count)


def test_real_humaneval_gives_all_164_rows(real_tokenizer: Path, tmp_path: Path) -> None:
    with gzip.open(real("humaneval/HumanEval.jsonl.gz"), "rt", encoding="utf-8") as file:
        upstream = [json.loads(line) for line in file]
    shard = tmp_path / "shard.parquet"
    pq.write_table(pa.Table.from_pylist(upstream, schema=_HUMANEVAL), shard)
    report = build_humaneval([shard], real_tokenizer, tmp_path, "test")
    expected = [
        json.dumps(
            {
                "instruction": row["prompt"],
                "input": "",
                "output": row["canonical_solution"],
                "task_id": row["task_id"],
                "test": row["test"],
                "entry_point": row["entry_point"],
                "metadata": {
                    "source": "humaneval",
                    "test": row["test"],
                    "entry_point": row["entry_point"],
                    "has_tests": True,
                },
            }
        )
        for row in upstream
    ]
    assert report.jsonl.read_bytes().decode().split("\n") == [*expected, ""]
    _prove(report.jsonl, report.index, "humaneval", real_tokenizer, 164)


def _prove(jsonl: Path, index: Path, dataset: str, tokenizer: Path, rows: int) -> None:
    metadata = jsonl.with_name(f"{jsonl.stem}_metadata.json")
    write_metadata(index, metadata)
    lines = jsonl.read_bytes().splitlines(keepends=True)
    assert metadata.read_bytes() == reference.metadata(lines)
    assert json.loads(metadata.read_bytes())["metadata"] == [{}] * rows
    findings = check_split(jsonl, BY_LABEL[dataset], tokenizer=tokenizer, rows=rows)
    findings += check_metadata(metadata, jsonl)
    assert [finding for finding in findings if not finding.passed] == []
    assert list(Corpus(jsonl)) == rows_of(jsonl)


def _mbpp_row(**given: Any) -> dict[str, Any]:
    row = {
        "task_id": 1,
        "text": "Add.",
        "code": "def add(a, b):\r\n\treturn a + b",
        "test_list": ["assert add(1, 2) == 3"],
        "test_setup_code": "",
        "challenge_test_list": [],
    }
    return row | given


def test_mbpp_rows_keep_carriage_returns_and_setup_code(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    shard = tmp_path / "shard.parquet"
    rows = [_mbpp_row(), _mbpp_row(task_id=2, test_setup_code="x = add")]
    pq.write_table(pa.Table.from_pylist(rows, schema=_MBPP), shard)
    report = build_mbpp([shard], small_tokenizer, tmp_path, "train")
    plain, with_setup = rows_of(report.jsonl)
    assert plain["output"] == "def add(a, b):\r\n\treturn a + b"
    assert "is_correct" not in plain
    assert (plain["test_setup_code"], with_setup["test_setup_code"]) == ("", "x = add")


def _humaneval_row(**given: Any) -> dict[str, Any]:
    row = {
        "task_id": "HumanEval/0",
        "prompt": "def add(a, b):\n",
        "canonical_solution": "    return a + b\n",
        "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
        "entry_point": "add",
    }
    return row | given


_BUILDS: dict[str, tuple[Any, pa.Schema, Any]] = {
    "mbpp": (build_mbpp, _MBPP, _mbpp_row),
    "humaneval": (build_humaneval, _HUMANEVAL, _humaneval_row),
}


@pytest.mark.parametrize("dataset", _BUILDS)
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("lists", LISTS)
def test_every_layout_gives_the_same_tasks(
    small_tokenizer: Path, tmp_path: Path, dataset: str, text: str, lists: str
) -> None:
    build, schema, row = _BUILDS[dataset]
    ids = (1, 2) if dataset == "mbpp" else ("HumanEval/0", "HumanEval/1")
    rows = [row(task_id=task) for task in ids]
    plain = write_layout(tmp_path / "plain.parquet", rows, schema, Layout())
    layout = Layout(text, "int64", lists, shuffled=5, extras=True, writing={"row_group_size": 1})
    other = write_layout(tmp_path / "other.parquet", rows, schema, layout)
    expected = build([plain], small_tokenizer, tmp_path, "plain").jsonl.read_bytes()
    assert expected.count(b"\n") == 2
    assert build([other], small_tokenizer, tmp_path, "other").jsonl.read_bytes() == expected


def _with_columns(schema: pa.Schema, **types: pa.DataType) -> pa.Schema:
    return pa.schema([(each.name, types.get(each.name, each.type)) for each in schema])


_NO_TASK: dict[str, tuple[str, Any, Any, tuple[str, ...]]] = {
    "a null number": ("mbpp", [4, None], None, ("None", "row 1")),
    "the same number twice": ("mbpp", [4, 4], None, ("4", "row 1", "row 0")),
    "a number as text": ("mbpp", ["4", "5"], pa.string(), ("task_id", "integer", "string")),
    "a number with a fraction": ("mbpp", [4.5, 5.0], pa.float64(), ("task_id", "double")),
    "a null name": ("humaneval", ["a", None], None, ("None", "row 1")),
    "an empty name": ("humaneval", ["a", ""], None, ("b''", "row 1")),
    "a blank name": ("humaneval", ["a", " "], None, ("b' '", "row 1")),
    "the same name twice": ("humaneval", ["a", "a"], None, ("b'a'", "row 1", "row 0")),
    "a name that is not UTF-8": ("humaneval", [b"a", b"\xff"], pa.binary(), ("xff", "row 1")),
    "a name as a number": ("humaneval", [1, 2], pa.int64(), ("task_id", "text", "int64")),
}


@pytest.mark.parametrize("what", _NO_TASK)
def test_a_row_without_a_task_id_of_its_own_is_refused_by_row_and_file(
    small_tokenizer: Path, tmp_path: Path, what: str
) -> None:
    dataset, ids, kind, named = _NO_TASK[what]
    build, schema, row = _BUILDS[dataset]
    if kind is not None:
        schema = _with_columns(schema, task_id=kind)
    shard = tmp_path / "shard.parquet"
    pq.write_table(pa.Table.from_pylist([row(task_id=each) for each in ids], schema), shard)
    with pytest.raises(CorpusError) as refusal:
        build([shard], small_tokenizer, tmp_path, "test")
    for words in (*named, str(shard), "What to do"):
        assert words in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["shard.parquet"]


def test_a_task_id_that_another_shard_has_is_refused(small_tokenizer: Path, tmp_path: Path) -> None:
    shards = [tmp_path / name for name in ("one.parquet", "two.parquet")]
    for shard in shards:
        pq.write_table(pa.Table.from_pylist([_mbpp_row()], _MBPP), shard)
    with pytest.raises(CorpusError) as refusal:
        build_mbpp(shards, small_tokenizer, tmp_path, "test")
    assert f"{shards[1]}, row 0" in str(refusal.value)
    assert f"{shards[0]}, row 0" in str(refusal.value)


_BLANKS = {
    "null": (None, "null"),
    "empty": ("", "an empty text"),
    "blank": (" \r\n\t", "nothing but white space"),
    "blank in Unicode": ("\u00a0\u2003", "nothing but white space"),
}
_NEEDED = {
    "mbpp": ("text", "code"),
    "humaneval": ("prompt", "canonical_solution", "test", "entry_point"),
}


@pytest.mark.parametrize("what", _BLANKS)
@pytest.mark.parametrize(
    ("dataset", "name"), [(dataset, name) for dataset, names in _NEEDED.items() for name in names]
)
def test_a_task_without_a_text_that_it_needs_is_refused_by_task_and_column(
    small_tokenizer: Path, tmp_path: Path, dataset: str, name: str, what: str
) -> None:
    value, found = _BLANKS[what]
    build, schema, row = _BUILDS[dataset]
    odd = row(task_id=77 if dataset == "mbpp" else "HumanEval/77", **{name: value})
    shard = tmp_path / "shard.parquet"
    pq.write_table(pa.Table.from_pylist([row(), odd], schema), shard)
    with pytest.raises(CorpusError) as refusal:
        build([shard], small_tokenizer, tmp_path, "test")
    for words in ("77'", f"no {name}", f"Found: {found}.", f"{shard}, row 1", "What to do"):
        assert words in str(refusal.value)
    assert [path.name for path in tmp_path.iterdir()] == ["shard.parquet"]


@pytest.mark.parametrize(
    ("tests", "found"),
    [
        (None, "an empty list"),
        ([], "an empty list"),
        (["assert True", " \n"], "nothing but white space at 1"),
        ([""], "an empty text at 0"),
    ],
)
def test_a_task_without_tests_is_refused_by_task_and_column(
    small_tokenizer: Path, tmp_path: Path, tests: list[str] | None, found: str
) -> None:
    shard = tmp_path / "shard.parquet"
    pq.write_table(pa.Table.from_pylist([_mbpp_row(task_id=7, test_list=tests)], _MBPP), shard)
    with pytest.raises(CorpusError) as refusal:
        build_mbpp([shard], small_tokenizer, tmp_path, "test")
    for words in ("Task '7'", "no test_list", f"Found: {found}.", f"{shard}, row 0"):
        assert words in str(refusal.value)


def test_a_null_among_the_tests_is_refused(small_tokenizer: Path, tmp_path: Path) -> None:
    shard = tmp_path / "shard.parquet"
    rows = [_mbpp_row(), _mbpp_row(task_id=7, test_list=["assert True", None])]
    pq.write_table(pa.Table.from_pylist(rows, _MBPP), shard)
    with pytest.raises(CorpusError) as refusal:
        build_mbpp([shard], small_tokenizer, tmp_path, "test")
    for words in ("Task '7'", "test_list", "null at 1", f"{shard}, row 1"):
        assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("dataset", "name", "value", "kind"),
    [
        ("mbpp", "test_list", [b"assert '\xff'"], pa.list_(pa.binary())),
        ("mbpp", "test_setup_code", b"'\xff'", pa.binary()),
        ("humaneval", "test", b"'\xff'", pa.binary()),
        ("humaneval", "entry_point", b"\xff", pa.binary()),
    ],
)
def test_tests_that_had_to_be_repaired_flag_their_row(
    small_tokenizer: Path, tmp_path: Path, dataset: str, name: str, value: Any, kind: pa.DataType
) -> None:
    build, schema, row = _BUILDS[dataset]
    shard = tmp_path / "shard.parquet"
    schema = _with_columns(schema, **{name: kind})
    pq.write_table(pa.Table.from_pylist([row(**{name: value})], schema), shard)
    report = build([shard], small_tokenizer, tmp_path, "test")
    assert "\ufffd" in report.jsonl.read_text().encode().decode("unicode_escape")
    assert Corpus(report.jsonl).column("flags").tolist() == [records.REPAIRED]
    assert report.stats["funnel"]["rows_repaired"] == 1


def test_rows_as_json_lines_are_refused_as_no_parquet(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    shard = tmp_path / "HumanEval.jsonl.gz"
    shard.write_bytes(gzip.compress(json.dumps(_humaneval_row()).encode()))
    with pytest.raises(CorpusError, match="not readable Parquet") as refusal:
        build_humaneval([shard], small_tokenizer, tmp_path, "test")
    assert str(shard) in str(refusal.value)
