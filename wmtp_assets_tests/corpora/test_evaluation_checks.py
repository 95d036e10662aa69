"""The checks of evaluation and tests files: right ones pass whatever upstream holds, and each kind
of damage fails the check that is about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wmtp_assets.corpora import evaluation_checks as checks
from wmtp_assets.corpora import evaluation_source
from wmtp_assets.corpora.evaluation_checks import StoredEvaluation, StoredTests, check_made_again
from wmtp_assets.corpora.evaluation_files import write_evaluation, write_tests
from wmtp_assets.corpora.evaluation_source import EvaluatedSplit
from wmtp_assets.findings import Check
from wmtp_assets_tests.corpora.conftest import problem, write_shard
from wmtp_assets_tests.corpora.test_evaluation_files import SOURCE

PROBLEMS = [
    problem(
        name=f"{at}_A",
        time_limit={"seconds": 2, "nanos": 0} if at % 2 else None,
        generated_tests={"input": [f"{at}", "é≤𝄞"], "output": [f"{at * at}", ""]},
    )
    for at in range(6)
]


class Made:
    """A split's files, made of `problems`, and the source that they are compared with."""

    def __init__(self, folder: Path, made_of: Sequence[dict[str, Any]], upstream: Path) -> None:
        folder.mkdir()
        other = write_shard(folder / "other.parquet", list(made_of))
        write_evaluation(SOURCE, [other], folder, "valid")
        write_tests(SOURCE, [other], folder, "valid")
        self.source = EvaluatedSplit(SOURCE, "valid", [upstream])
        self.lines = folder / "valid_eval.jsonl"
        self.json = folder / "valid_tests.json"
        self.parquet = folder / "valid_tests.parquet"

    def wrong(self, seed: int | None = None) -> set[str]:
        """The names of the checks that fail."""
        return failed(
            checks.EVALUATION_CHECKS, StoredEvaluation(self.lines, lambda: self.source, seed)
        ) | failed(checks.TESTS_CHECKS, StoredTests(self.json, lambda: self.source, seed))


def failed(every: Sequence[Check[Any]], stored: object) -> set[str]:
    """As the platform takes it: what cannot be read has failed."""
    found = set()
    for one in every:
        try:
            passed = one.of(stored).passed
        except Exception:
            passed = False
        if not passed:
            found.add(one.name)
    return found


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    return write_shard(tmp_path / "valid.parquet", PROBLEMS)


def test_what_upstream_holds_passes_whatever_it_is(
    trap_shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_evaluation(SOURCE, trap_shards, tmp_path, "valid")
    write_tests(SOURCE, trap_shards, tmp_path, "valid")
    source = EvaluatedSplit(SOURCE, "valid", trap_shards)
    lines, tests = tmp_path / "valid_eval.jsonl", tmp_path / "valid_tests.json"
    for most in (1 << 20, 0):  # whole, and a sample
        monkeypatch.setattr(evaluation_source, "SMALL_SOURCE", most)
        assert source.is_small == bool(most)
        assert failed(checks.EVALUATION_CHECKS, StoredEvaluation(lines, lambda: source)) == set()
        assert failed(checks.TESTS_CHECKS, StoredTests(tests, lambda: source)) == set()
    assert check_made_again(lines, source, write_evaluation).passed
    assert check_made_again(tests, source, write_tests).passed
    counts = StoredEvaluation(lines, lambda: source).counts
    assert counts == {"problems": 16, "public_tests": 16, "private_tests": 0, "generated_tests": 48}


def test_an_empty_split_passes(tmp_path: Path) -> None:
    empty = write_shard(tmp_path / "valid.parquet", [])
    assert Made(tmp_path / "made", [], empty).wrong() == set()


def change(of: int, **fields: Any) -> list[dict[str, Any]]:
    return [row | fields if at == of else row for at, row in enumerate(PROBLEMS)]


NONE: dict[str, list[Any]] = {"language": [], "solution": []}
ALL = {"evaluation_equals_source", "tests_equal_source"}
NAMES = {"evaluation_problems", "tests_problems"}
OTHER_TESTS = {"input": ["3", "é≤𝄞"], "output": ["9", "other"]}


@pytest.mark.parametrize(
    ("made_of", "wrong"),
    [
        (PROBLEMS, set()),
        (PROBLEMS[:-1], ALL | NAMES),
        ([*PROBLEMS, problem(name="more")], ALL | NAMES),
        ([PROBLEMS[1], PROBLEMS[0], *PROBLEMS[2:]], ALL | NAMES),
        (change(2, name="other"), ALL | NAMES),
        (change(3, generated_tests=OTHER_TESTS), ALL),
        (change(3, public_tests={"input": [], "output": []}), ALL),
        (change(3, time_limit=None), {"evaluation_equals_source"}),
        (change(3, cf_rating=801), {"evaluation_equals_source"}),
        (change(3, description="Subtract."), {"evaluation_equals_source"}),
        (change(3, solutions=NONE, incorrect_solutions=NONE), set()),
    ],
)
def test_files_that_are_made_of_something_else_fail(
    made_of: list[dict[str, Any]], wrong: set[str], upstream: Path, tmp_path: Path
) -> None:
    made = Made(tmp_path / "made", made_of, upstream)
    assert made.wrong() == wrong
    again = check_made_again(made.lines, made.source, write_evaluation)
    assert again.passed == ("evaluation_equals_source" not in wrong)
    again = check_made_again(made.json, made.source, write_tests)
    assert again.passed == ("tests_equal_source" not in wrong)


def test_a_sample_finds_what_is_wrong_everywhere_and_says_its_seed(
    upstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_source, "SMALL_SOURCE", 0)
    monkeypatch.setattr(evaluation_source, "SAMPLED_PROBLEMS", 2)
    other = [row | {"generated_tests": OTHER_TESTS, "cf_rating": 1} for row in PROBLEMS]
    made = Made(tmp_path / "made", other, upstream)
    assert made.wrong(seed=5) == ALL
    found = checks.tests_equal_source.of(StoredTests(made.json, lambda: made.source, 5))
    assert "(drawn with seed 5)" in str(found.found)
    assert found.details == {"seed": 5, "problems": 2}
    assert ": other generated_tests" in str(found.found)


def lines(change: Callable[[list[Any]], object]) -> Callable[[Made], None]:
    """A change of the evaluation file's records, written as they are."""

    def at(made: Made) -> None:
        found = [json.loads(line) for line in made.lines.read_text().splitlines()]
        change(found)
        text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in found)
        made.lines.write_text(text)

    return at


def text(of: str, old: str, new: str) -> Callable[[Made], None]:
    """A change of the bytes of the file `of`."""

    def at(made: Made) -> None:
        path: Path = getattr(made, of)
        data = path.read_text()
        assert old in data
        path.write_text(data.replace(old, new, 1))

    return at


def parquet(made: Made) -> None:
    """A problem fewer, and its name."""
    rewrite(made, slice(1, None), lambda facts: facts["names"].pop(0))


def names(made: Made) -> None:
    """A problem under the name of another."""
    rewrite(made, slice(None), lambda facts: facts.update(names=facts["names"][::-1]))


def column(made: Made) -> None:
    """As names, but of the column: found by other readers of Parquet only."""
    metadata = pq.ParquetFile(made.parquet).metadata.metadata
    table = pq.read_table(made.parquet)
    table = table.set_column(0, "name", pa.array(table["name"].to_pylist()[::-1]))
    pq.write_table(table.replace_schema_metadata({b"wmtp": metadata[b"wmtp"]}), made.parquet)


def counts(made: Made) -> None:
    rewrite(made, slice(None), lambda facts: facts["counts"].update(generated_tests=13))


def rewrite(made: Made, rows: slice, change: Callable[[dict[str, Any]], object]) -> None:
    metadata = pq.ParquetFile(made.parquet).metadata.metadata
    facts = json.loads(metadata[b"wmtp"])
    change(facts)
    table = pq.read_table(made.parquet)[rows]
    pq.write_table(table.replace_schema_metadata({b"wmtp": json.dumps(facts)}), made.parquet)


def unequal(records: list[Any]) -> None:
    records[2]["metadata"]["private_tests"]["input"].append("1")


FORM = {"evaluation_form"}
EQUAL = {"evaluation_equals_source"}


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        (lines(lambda all_: all_[0].update(input="1")), FORM | EQUAL),
        (lines(lambda all_: all_[0].update(output="1")), FORM | EQUAL),
        (lines(lambda all_: all_[0]["metadata"].update(difficulty=None)), FORM | EQUAL),
        (lines(lambda all_: all_[0]["metadata"].update(source="CODEFORCES")), FORM | EQUAL),
        (lines(lambda all_: all_[0]["metadata"].pop("public_tests")), FORM | EQUAL),
        (lines(lambda all_: all_[0]["metadata"].update(time_limit={"seconds": 1.5})), FORM | EQUAL),
        (lines(unequal), FORM | EQUAL),
        (lines(lambda all_: all_[1].update(task_id="1")), EQUAL | {"evaluation_problems"}),
        (lines(lambda all_: all_[1].update(task_id=1)), FORM | EQUAL | {"evaluation_problems"}),
        (text("lines", "é≤𝄞", "\\u00e9≤𝄞"), FORM),
        (text("lines", '"input": ""', '"input":""'), FORM),
        (text("lines", '{"task_id": "2', '"task_id": "2'), FORM | EQUAL | {"evaluation_problems"}),
        (text("lines", "\n", "\n\n"), FORM | EQUAL | {"evaluation_problems"}),
        (text("json", "é≤𝄞", "é<𝄞"), {"parquet_equals_json"}),
        (text("json", "}}}", "}}} "), {"parquet_equals_json"}),
        (text("json", '"0_A": ', '"0_A":'), {"parquet_equals_json"}),
        (parquet, {"parquet_equals_json", "tests_problems", "tests_equal_source"}),
        (names, {"parquet_equals_json", "tests_problems", "tests_equal_source"}),
        (column, {"parquet_equals_json"}),
        (counts, {"parquet_equals_json"}),
        (lambda made: made.parquet.unlink(), {one.name for one in checks.TESTS_CHECKS}),
        (lambda made: made.json.write_bytes(b""), {"parquet_equals_json"}),
    ],
)
def test_damage_fails_the_check_that_is_about_it(
    damage: Callable[[Made], None], wrong: set[str], upstream: Path, tmp_path: Path
) -> None:
    made = Made(tmp_path / "made", PROBLEMS, upstream)
    damage(made)
    assert made.wrong() == wrong
