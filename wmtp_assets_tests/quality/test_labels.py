"""Rows executed for real: verdicts, several answers, and the same lines however they are judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wmtp_assets.corpora.annotations import AnnotationFile, write_annotation
from wmtp_assets.corpora.build import build_split
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.parquet_file import Shard
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.execution.cache import VerdictCache
from wmtp_assets.execution.judge import Judge
from wmtp_assets.execution.tasks import Judged, Task, Verdict
from wmtp_assets.quality.labels import NO_TESTS, DrawnRows, PairsOfTests, lines_of
from wmtp_assets.quality.rates import rates_document
from wmtp_assets_tests.corpora.conftest import (
    CODE_CONTESTS,
    MBPP,
    build_codecontests,
    build_mbpp,
    real,
)
from wmtp_assets_tests.quality.six_problems import PROBLEMS

# By row: verdict, tests run, several answers, parses.
EXPECTED = [
    ("passed", 5, False, True),
    ("failed", 2, False, True),
    ("not_runnable", 0, False, False),
    ("passed", 5, False, True),
    ("time", 1, False, True),
    ("failed", 1, False, False),
    ("failed", 1, False, True),
    ("failed", 1, True, True),
    ("passed", 4, True, True),
    ("passed", 1, False, True),
    ("failed", 1, False, True),
    ("failed", 1, True, True),
    ("failed", 1, True, True),
    ("passed", 5, True, True),
    ("failed", 1, True, True),
    ("not_runnable", 0, False, True),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("executed")


@pytest.fixture(scope="module")
def lines(drawn: DrawnRows, cache: Path) -> dict[str, list[Any]]:
    with VerdictCache(cache) as known, Judge(workers=2, cache=known) as judge:
        return lines_of(drawn, judge.judge)


def test_each_row_has_its_line(lines: dict[str, list[Any]]) -> None:
    columns = [lines[name] for name in ("verdict", "tests", "several_answers", "parses")]
    assert list(zip(*columns, strict=True)) == EXPECTED
    assert lines["row"] == list(range(len(EXPECTED)))
    assert lines["reason"][0] == ""
    assert "test 2" in lines["reason"][1]
    assert "Python 2" in lines["reason"][2]
    assert "SyntaxError" in lines["reason"][5]
    assert "ZeroDivisionError" in lines["reason"][6]
    assert lines["reason"][15] == NO_TESTS
    assert all(value > 0 for value, one in zip(lines["seconds"], EXPECTED, strict=True) if one[1])


def test_the_number_of_workers_and_a_cache_change_nothing(
    drawn: DrawnRows, cache: Path, lines: dict[str, list[Any]]
) -> None:
    with VerdictCache(cache) as known, Judge(workers=1, cache=known) as judge:
        assert lines_of(drawn, judge.judge) == lines
        assert judge.executed == 0
    measured = {"seconds", "memory"}
    with Judge(workers=3) as judge:
        found = lines_of(drawn, judge.judge)
    assert {name: found[name] for name in found.keys() - measured} == {
        name: lines[name] for name in lines.keys() - measured
    }


def test_a_sample_executes_its_rows_alone(drawn: DrawnRows, lines: dict[str, list[Any]]) -> None:
    seen: list[int] = []

    def judging(tasks: Iterator[tuple[int, Task]]) -> Iterable[tuple[int, Judged]]:
        for row, _ in tasks:
            seen.append(row)
            yield row, Judged(Verdict.PASSED)

    some = DrawnRows(drawn.corpus, drawn.row_format, drawn.shards, np.array([3, 9, 15]))
    found = lines_of(some, judging)
    assert found["row"] == [3, 9, 15]
    assert found["verdict"] == ["passed", "passed", "not_runnable"]
    assert seen == [3, 9]


def test_of_no_rows_there_are_no_lines_and_no_rates(drawn: DrawnRows, tmp_path: Path) -> None:
    nothing = DrawnRows(drawn.corpus, drawn.row_format, drawn.shards, np.zeros(0, np.int64))
    with Judge(workers=1) as judge:
        found = lines_of(nothing, judge.judge)
        assert judge.executed == 0
    assert set(map(len, found.values())) == {0}
    path = tmp_path / "valid_verdicts.parquet"
    write_annotation(path, "verdicts", found, drawn.corpus.row_index)
    document = rates_document(AnnotationFile(path, "verdicts"), drawn.corpus, "code-contests")
    assert (document["drawn"], document["rates"], document["verdicts"]) == (0, [], {})


def test_tests_of_a_problem_are_all_sorts_in_the_sources_order(drawn: DrawnRows) -> None:
    source = CODE_CONTESTS.evaluation
    assert source is not None
    (first, last) = source.problems(source.opened(drawn.shards), {0, 5})
    pairs = PairsOfTests(first)
    assert list(pairs) == [("1 2\n", "3\n"), ("4 5\n", "9\n"), *[("5 6\n", "11\n")] * 3]
    assert len(pairs) == 5
    assert list(pairs) == list(pairs)
    assert pairs.digest == PairsOfTests(first).digest
    assert pairs.digest != PairsOfTests(last).digest
    assert len(PairsOfTests(last)) == 0


def test_a_reference_whose_tests_need_its_own_classes_passes_in_one_process(
    small_tokenizer: Path, tmp_path: Path
) -> None:
    rows = {
        "task_id": [1, 2, 3],
        "text": ["Sum.", "Pair.", "Wrong."],
        "code": [
            "def total(x):\r\n    return sum(x)",
            "class Pair:\n    def __init__(self, a):\n        self.a = a\n"
            "def first(p):\n    return p.a",
            "def wrong(x):\n    return x + 1",
        ],
        "test_list": [
            ["assert total([1, 2]) == 3"],
            ["assert first(p) == 4"],
            ["assert wrong(1) == 1"],
        ],
        "test_setup_code": ["", "p = Pair(4)", ""],
    }
    shard = tmp_path / "test.parquet"
    pq.write_table(pa.table(rows), shard)
    built = build_mbpp([shard], small_tokenizer, tmp_path / "out", "test")
    drawn = DrawnRows(Corpus(built.jsonl), MBPP, [shard], np.arange(3))
    with Judge(workers=2) as judge:
        found = lines_of(drawn, judge.judge)
    assert found["verdict"] == ["passed", "passed", "failed"]
    assert found["reason"][0] == ""
    assert "one process" in found["reason"][1]
    assert "AssertionError" in found["reason"][2]


NUMBERS = [1, 8, 9, 10, 18, 19, 20, 99, 100, 999_999_999, 1_000_000_000, *range(500, 600)]


def test_labels_of_a_real_problem(small_tokenizer: Path, tmp_path: Path) -> None:
    """1553_A asks how many x up to n end in 9. The file at hand has the statement's example as its
    only test, which eight of the nine solutions labelled incorrect pass; given a test with numbers
    that end in 9, none does."""
    table = pq.read_table(real("code_contests/valid-00000-of-00001.parquet"))
    tested = {
        "input": ["\n".join(map(str, [len(NUMBERS), *NUMBERS]))],
        "output": [" ".join(str((n + 1) // 10) for n in NUMBERS)],
    }
    for added, passing in (
        (False, {"correct": 4, "incorrect": 8}),
        (True, {"correct": 4, "incorrect": 0}),
    ):
        folder = tmp_path / str(added)
        folder.mkdir()
        shard = folder / "valid.parquet"
        at = table.schema.get_field_index("private_tests")
        own = pa.array([tested], table.schema.field(at).type)
        pq.write_table(table.set_column(at, table.schema.field(at), own) if added else table, shard)
        corpus = Corpus(build_codecontests([shard], small_tokenizer, folder / "out", "valid").jsonl)
        drawn = DrawnRows(corpus, CODE_CONTESTS, [shard], np.arange(len(corpus)))
        with Judge(workers=2) as judge:
            found = np.array(lines_of(drawn, judge.judge)["verdict"])
        python3 = corpus.column("language") == 3
        for label, name in ((1, "correct"), (0, "incorrect")):
            of = python3 & (corpus.column("is_correct") == label)
            assert np.count_nonzero(found[of] == "passed") == passing[name]
        assert set(found[~python3]) <= {"not_runnable"}


EVALPLUS = """import numpy as np

def is_floats(x) -> bool:
    if isinstance(x, float):
        return True
    if isinstance(x, (list, tuple)):
        return all(isinstance(i, float) for i in x)
    return False

def assertion(out, exp, atol):
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if out != exp and atol != 0:
        np.testing.assert_allclose(out, exp, rtol=1e-07, atol=atol)
    else:
        assert out == exp, f"out: {out}, exp: {exp}"

"""
INPUTS = "inputs = [[[1.0, 2.0]], [[]], [[0.1, 0.2]]]\nresults = [1.5, 0.0, 0.15]\n"
LOOP = "for i, (inp, exp) in enumerate(zip(inputs, results)):\n    assertion({0}(*inp), exp, 0)\n"


@pytest.mark.parametrize("name", ["mbpp-plus", "humaneval-plus"])
def test_references_of_evalplus_run_against_its_tests(
    name: str, small_tokenizer: Path, tmp_path: Path
) -> None:
    """The tests are in the form of EvalPlus's Parquet, with numpy and a loop over all inputs."""
    row_format = FORMATS[name]
    bodies = ["return sum(x) / len(x) if x else 0.0", "return max(x, default=0.0)"]
    if name == "mbpp-plus":
        source: dict[str, list[Any]] = {
            "task_id": [1, 2],
            "prompt": ["Mean.", "Mean."],
            "code": [f"def mean(x):\n    {body}\n" for body in bodies],
            "test_imports": [["import math"]] * 2,
            "test_list": [["assert mean([1]) == 1"]] * 2,
            "test": [EVALPLUS + INPUTS + LOOP.format("mean")] * 2,
        }
    else:
        check = "".join(
            f"    {line}\n" for line in (INPUTS + LOOP.format("candidate")).splitlines()
        )
        source = {
            "task_id": ["HumanEval/0", "HumanEval/1"],
            "prompt": ['def mean(x):\n    """Mean."""\n'] * 2,
            "canonical_solution": [f"    {body}\n" for body in bodies],
            "test": [f"{EVALPLUS}def check(candidate):\n{check}"] * 2,
            "entry_point": ["mean"] * 2,
        }
    shard = tmp_path / "test.parquet"
    pq.write_table(pa.table(source), shard)
    built = build_split(row_format, [shard], small_tokenizer, tmp_path / "out", "test")
    drawn = DrawnRows(Corpus(built.jsonl), row_format, [shard], np.arange(2))
    with Judge(workers=1) as judge:
        found = lines_of(drawn, judge.judge)
    assert found["verdict"] == ["passed", "failed"], found["reason"]
    assert "1.5" in found["reason"][1]  # what was expected


def test_tests_of_shards_without_a_drawn_row_are_not_decoded(
    drawn: DrawnRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    batches = Shard.batches

    def noting(shard: Shard, names: list[str], size: int) -> Iterator[pa.RecordBatch]:
        if "public_tests" in names:
            decoded.append(shard.path)
        return batches(shard, names, size)

    monkeypatch.setattr(Shard, "batches", noting)
    source = CODE_CONTESTS.evaluation
    assert source is not None
    for wanted, shards in (({1}, [0]), ({4}, [1]), ({0, 5}, [0, 1]), (set(), []), (None, [0, 1])):
        found = list(source.problems(source.opened(drawn.shards), wanted))
        names = [PROBLEMS[at]["name"] for at in (range(6) if wanted is None else sorted(wanted))]
        assert [one.name for one in found] == names
        assert decoded == [drawn.shards[at] for at in shards]
        decoded.clear()
