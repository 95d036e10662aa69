"""Evaluation and tests files give the reference's bytes, whatever upstream holds."""

from __future__ import annotations

import hashlib
import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.codecontests.generator import SCHEMA, write_shards
from wmtp_assets.corpora import tests_file
from wmtp_assets.corpora.build import build_split
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.evaluation import EvaluationSource
from wmtp_assets.corpora.evaluation_checks import (
    EVALUATION_CHECKS,
    TESTS_CHECKS,
    StoredEvaluation,
    StoredTests,
)
from wmtp_assets.corpora.evaluation_files import Written, quoted, write_evaluation, write_tests
from wmtp_assets.corpora.evaluation_source import EvaluatedSplit
from wmtp_assets.corpora.tests_file import ProblemTestsFile, UnknownProblemError, open_tests
from wmtp_assets_tests.corpora import reference
from wmtp_assets_tests.corpora.conftest import (
    CODE_CONTESTS,
    problem,
    real,
    rows_of,
    with_malformed_text,
    write_shard,
)
from wmtp_assets_tests.corpora.layouts import Layout, write_layout

assert CODE_CONTESTS.evaluation is not None
SOURCE: EvaluationSource = CODE_CONTESTS.evaluation
ODD = ["", "\n", "a\r\n\t\b\f\x00\x1f\x7f", '"\\/', "é≤𝄞\u2028\x85\ufeff", "\\u0041"]
PAIRS = {"input": ODD, "output": ODD[::-1]}
LIMITS: list[Any] = [
    None,
    {"seconds": None, "nanos": None},
    {"seconds": 2, "nanos": 500_000_000},
    {"seconds": None, "nanos": 1},
    {"seconds": 3, "nanos": None},
    {"seconds": 0, "nanos": 0},
]
ODD_PROBLEMS = [
    problem(name="texts", public_tests=PAIRS, private_tests=PAIRS, generated_tests=PAIRS),
    *(problem(name=f"limit {at}", time_limit=limit) for at, limit in enumerate(LIMITS)),
    problem(name="null tests", public_tests=None, private_tests=None, generated_tests=None),
    problem(name="null lists", generated_tests={"input": None, "output": None}),
    problem(name="null texts", private_tests={"input": [None, "1"], "output": ["2", None]}),
    problem(name="memory", memory_limit_bytes=256_000_000, cf_rating=None),
    problem(
        name="bad tests",
        generated_tests={"input": ["1", "MALFORM", "2"], "output": ["BROKEN", "é", ""]},
    ),
]


@pytest.fixture
def odd_shards(trap_shards: list[Path], tmp_path: Path) -> list[Path]:
    shard = write_shard(tmp_path / "train-00002-of-00003.parquet", ODD_PROBLEMS)
    with_malformed_text(shard, "MALFORM", b"\xed\xa0\xbd\xff\xc3(\xf0")
    with_malformed_text(shard, "BROKEN", b"\xed\xb0\x80\x80\xe2\x82")
    return [*trap_shards, shard]


def both(shards: list[Path], out: Path) -> tuple[bytes, bytes, Written, Written]:
    out.mkdir()
    lines = write_evaluation(SOURCE, shards, out, "valid")
    tests = write_tests(SOURCE, shards, out, "valid")
    for written in (lines, tests):
        for name, digest in written.files.items():
            assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    assert {path.name for path in out.iterdir()} == {*lines.files, *tests.files}
    return (
        (out / "valid_eval.jsonl").read_bytes(),
        (out / "valid_tests.json").read_bytes(),
        lines,
        tests,
    )


def test_traps_give_the_reference_bytes(odd_shards: list[Path], tmp_path: Path) -> None:
    lines, tests, counted, also = both(odd_shards, tmp_path / "out")
    assert lines == reference.evaluation_file(odd_shards)
    assert tests == reference.tests_file(odd_shards)
    expected = reference.evaluation(odd_shards)
    sorts = {
        sort: sum(len(record["metadata"][sort]["input"]) for record in expected)
        for sort in reference.TESTS
    }
    # A statement, a name and an input of the traps, and an input and an output of ours.
    assert counted.counts == also.counts
    assert counted.counts == {"problems": len(expected), **sorts, "texts_repaired": 3}


def test_generated_and_real_problems_give_the_reference_bytes(tmp_path: Path) -> None:
    generated = write_shards(tmp_path / "hub", 12 / 13_328)
    for shards in (generated, [real("code_contests/valid-00000-of-00001.parquet")]):
        lines, tests, *_ = both(shards, tmp_path / shards[0].stem)
        assert lines == reference.evaluation_file(shards)
        assert tests == reference.tests_file(shards)


def test_a_split_without_problems_has_empty_files(tmp_path: Path) -> None:
    shard = write_shard(tmp_path / "valid.parquet", [])
    lines, tests, *_ = both([shard], tmp_path / "out")
    assert (lines, tests) == (b"", b"{}")
    assert list(ProblemTestsFile(tmp_path / "out/valid_tests.parquet")) == []


@pytest.mark.parametrize(
    "layout",
    [
        Layout(text="large_string", integer="int32", lists="large_list"),
        Layout(text="dictionary", list_of_structs=True, shuffled=3),
        Layout(text="binary_view", extras=True, shuffled=4),
    ],
    ids=str,
)
def test_other_layouts_of_the_same_data_give_the_same_bytes(layout: Layout, tmp_path: Path) -> None:
    rows = [row for row in ODD_PROBLEMS if not row["name"].startswith(("null", "bad"))]
    plain = write_shard(tmp_path / "valid.parquet", rows)
    other = write_layout(tmp_path / "other/valid.parquet", rows, SCHEMA, layout)
    assert both([plain], tmp_path / "out")[:2] == both([other], tmp_path / "out2")[:2]


def test_names_are_those_of_the_rows(
    odd_shards: list[Path], small_tokenizer: Path, tmp_path: Path
) -> None:
    report = build_split(CODE_CONTESTS, odd_shards, small_tokenizer, tmp_path, "valid")
    _, document, *_ = both(odd_shards, tmp_path / "out")
    tests = json.loads(document)
    of_rows = {
        row["task_id"].rpartition("_correct_")[0] or row["task_id"].rpartition("_incorrect_")[0]
        for row in rows_of(report.jsonl)
    }
    assert of_rows <= tests.keys()
    assert len(of_rows) > 10


def test_one_tests_text_is_what_the_standard_library_writes() -> None:
    draw = random.Random(5)
    pool = [*map(chr, range(0x180)), "\u2028", "\ud7ff", "\ufffd", "𝄞", *'"\\\n\n0123456789 '] * 2
    for length in (0, 1, 2, 30, 400):
        for _ in range(40):
            text = "".join(draw.choices(pool, k=length))
            assert quoted(text.encode()).decode() == json.dumps(text, ensure_ascii=False)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"generated_tests": {"input": ["1", "2"], "output": ["1"]}}, "input 2, output 1"),
        ({"private_tests": {"input": None, "output": ["1"]}}, "input 0, output 1"),
    ],
)
def test_lists_that_are_not_parallel_are_refused(
    given: dict[str, Any], found: str, tmp_path: Path
) -> None:
    shard = write_shard(tmp_path / "valid.parquet", [problem(), problem(name="torn", **given)])
    (tmp_path / "out").mkdir()
    for write in (write_evaluation, write_tests):
        with pytest.raises(CorpusError, match=found) as caught:
            write(SOURCE, [shard], tmp_path / "out", "valid")
        assert "problem 'torn', row 1" in str(caught.value.where)
        assert list((tmp_path / "out").iterdir()) == []


def test_another_source_states_its_own_columns(tmp_path: Path) -> None:
    source = EvaluationSource(
        instruction="statement", facts={}, tests=("cases",), name="id", source="origin"
    )
    cases = [{"input": "1", "output": "é"}, {"input": "", "output": "2"}]
    rows = [
        {"id": name, "origin": 3, "statement": "Do it.", "cases": cases[:count]}
        for name, count in (("a", 2), ("b", 0), ("b", 1))
    ]
    shard = tmp_path / "test.parquet"
    pq.write_table(pa.Table.from_pylist(rows), shard)
    (tmp_path / "out").mkdir()
    write_evaluation(source, [shard], tmp_path / "out", "test")
    written = write_tests(source, [shard], tmp_path / "out", "test")
    found = rows_of(tmp_path / "out/test_eval.jsonl")
    assert [row["task_id"] for row in found] == ["a", "b@3.0", "b@3.1"]
    assert found[0] == {
        "task_id": "a",
        "instruction": "Do it.",
        "input": "",
        "metadata": {"cases": {"input": ["1", ""], "output": ["é", "2"]}},
    }
    assert found[1]["metadata"] == {"cases": {"input": [], "output": []}}
    assert written.counts == {"problems": 3, "cases": 3, "texts_repaired": 0}
    made_from = EvaluatedSplit(source, "test", [shard])
    lines = StoredEvaluation(tmp_path / "out/test_eval.jsonl", lambda: made_from)
    tests = StoredTests(tmp_path / "out/test_tests.json", lambda: made_from)
    assert all(one.of(lines).passed for one in EVALUATION_CHECKS)
    assert all(one.of(tests).passed for one in TESTS_CHECKS)


def test_a_source_without_tests_is_named(tmp_path: Path) -> None:
    schema = SCHEMA.remove(SCHEMA.get_field_index("generated_tests"))
    shard = write_shard(tmp_path / "valid.parquet", [problem()], schema)
    with pytest.raises(CorpusError, match="generated_tests is missing") as caught:
        write_tests(SOURCE, [shard], tmp_path, "valid")
    assert caught.value.where == shard
    with pytest.raises(CorpusError, match="No shards were given"):
        write_evaluation(SOURCE, [], tmp_path, "valid")


# Reading one problem.


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A tests file of some row groups, and the JSON beside it."""
    folder = tmp_path_factory.mktemp("many")
    digits = random.Random(7)
    rows = [
        problem(
            name=f"{at}_A",
            generated_tests={
                side: [digits.randbytes(4500).hex() for _ in range(40)]
                for side in ("input", "output")
            },
        )
        for at in range(16)
    ]
    shard = write_shard(folder / "train.parquet", rows)
    write_tests(SOURCE, [shard], folder, "train")
    return folder / "train_tests.parquet", json.loads((folder / "train_tests.json").read_bytes())


def test_parquet_has_what_json_has(many: tuple[Path, dict[str, Any]]) -> None:
    path, document = many
    tests = ProblemTestsFile(path)
    assert list(tests) == list(document)
    assert dict(tests) == document
    assert pq.ParquetFile(path).metadata.num_row_groups > 4
    data = path.with_suffix(".json").read_bytes()
    assert tests.facts == {
        "split": "train",
        "json": {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)},
        "counts": {
            "problems": 16,
            "public_tests": 16,
            "private_tests": 0,
            "generated_tests": 16 * 40,
            "texts_repaired": 0,
        },
    }


def test_one_problem_is_read_without_the_others(many: tuple[Path, dict[str, Any]]) -> None:
    path, document = many
    before = _read()
    tests = ProblemTestsFile(path)
    opening = _read() - before
    for name in ("13_A", "13_A", "0_A"):
        before = _read()
        assert tests[name] == document[name]
        one = _read() - before
        assert one < tests_file._GROUP_BYTES < path.stat().st_size / 2
    assert opening < 100_000
    costs = []
    for _ in range(3):  # other threads of this process may read as well, but not every time
        before = _read()
        assert tests["0_A"] == document["0_A"]
        costs.append(_read() - before)
    assert min(costs) < 1000  # its row group is in memory; asking is a read, too


def _read() -> int:
    """Bytes that the read calls of this process have returned."""
    lines = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(lines["rchar"])


def test_a_tests_file_is_a_mapping_that_pickles(many: tuple[Path, dict[str, Any]]) -> None:
    path, document = many
    tests = pickle.loads(pickle.dumps(ProblemTestsFile(path)))  # noqa: S301  (our own)
    assert len(tests) == len(document)
    assert "3_A" in tests
    assert "3_A_correct_0" not in tests
    assert tests.get("3_A_correct_0") is None
    with pytest.raises(KeyError) as caught:
        tests["3_A_correct_0"]
    assert isinstance(caught.value, UnknownProblemError)
    assert str(caught.value).startswith("There is no problem of this name. Expected: one of 16.")


def _other_columns(path: Path) -> None:
    pq.write_table(pa.table({"name": ["a"], "public_tests": ["b"]}), path)


def _no_facts(path: Path) -> None:
    pq.write_table(pq.read_table(path).replace_schema_metadata(), path)


def _other_names(path: Path) -> None:
    table = pq.read_table(path)
    table = table.replace_schema_metadata({"wmtp": json.dumps({"names": ["a"] * len(table)})})
    pq.write_table(table, path)


def _no_names(path: Path) -> None:
    table = pq.read_table(path).replace_schema_metadata({"wmtp": "{}"})
    pq.write_table(table, path)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize("damage", [_other_columns, _no_facts, _other_names, _no_names, _cut])
def test_another_file_is_refused(
    damage: Callable[[Path], None], many: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "train_tests.parquet"
    path.write_bytes(many[0].read_bytes())
    damage(path)
    with pytest.raises(CorpusError, match="not a file of tests of this version") as caught:
        ProblemTestsFile(path)
    assert caught.value.where == path


def test_damage_inside_is_refused_when_it_is_read(
    many: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "train_tests.parquet"
    data = bytearray(many[0].read_bytes())
    data[1000:2000] = bytes(1000)
    path.write_bytes(data)
    tests = ProblemTestsFile(path)
    with pytest.raises(CorpusError, match="not a file of tests of this version"):
        tests["0_A"]


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="There is no file of tests") as caught:
        open_tests(tmp_path, "codecontests", "train")
    assert str(caught.value.where).endswith("datasets/codecontests/tests/train_tests.parquet")
