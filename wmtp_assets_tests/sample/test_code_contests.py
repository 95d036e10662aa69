"""The sample's CodeContests rows are as odd as upstream's, and its programs tell the truth."""

from __future__ import annotations

import contextlib
import io
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow.parquet as pq
import pytest
import sentencepiece as spm

from wmtp_assets.sample.datasets import CODE_CONTESTS, code_contests
from wmtp_assets.sample.oddities import TOKEN_LIMIT
from wmtp_assets.sample.problems import FAMILIES, Family
from wmtp_assets.sample.programs import PYTHON2, PYTHON3
from wmtp_assets.sample.tokenizer import SPACE, tokenizer_model

REAL_DATA = (Path(__file__).parents[3] / "../shared/data").resolve()


Row: TypeAlias = dict[str, Any]
Problems: TypeAlias = dict[str, list[Row]]


@pytest.fixture(scope="module")
def problems(hub: Path) -> Problems:
    """The rows as they are read from the parquet files."""
    data = hub / CODE_CONTESTS / "data"
    return {
        split: [
            row
            for shard in sorted(data.glob(f"{split}-*.parquet"))
            for row in pq.read_table(shard).to_pylist()
        ]
        for split in ("train", "valid", "test")
    }


def _python(texts: Row) -> list[str]:
    return [
        text
        for language, text in zip(texts["language"], texts["solution"], strict=True)
        if language in (PYTHON2, PYTHON3)
    ]


def _shown(problem: Row) -> str:
    tests = problem["public_tests"]
    pairs = list(zip(tests["input"], tests["output"], strict=True))[:2]
    return "\n\n".join(f"Input: {given}\nOutput: {wanted}" for given, wanted in pairs)


def _everything(problems: Problems) -> Iterator[Row]:
    for rows in problems.values():
        yield from rows


def test_the_schema_is_that_of_the_real_file(hub: Path) -> None:
    real = REAL_DATA / "code_contests/valid-00000-of-00001.parquet"
    if not real.exists():
        pytest.skip("the real row is not at ../shared/data")
    for shard in (hub / CODE_CONTESTS / "data").glob("*.parquet"):
        assert pq.read_schema(shard).equals(pq.read_schema(real), check_metadata=True)


def test_the_shards_are_named_and_grouped_as_on_the_hub(hub: Path) -> None:
    names = sorted(path.name for path in (hub / CODE_CONTESTS / "data").iterdir())
    stems, hashes = zip(
        *(name.removesuffix(".parquet").rsplit("-", 1) for name in names), strict=True
    )
    assert stems == (
        "test-00000-of-00001",
        "train-00000-of-00002",
        "train-00001-of-00002",
        "valid-00000-of-00001",
    )
    assert all(len(bytes.fromhex(digits)) == 8 for digits in hashes)
    for path in (hub / CODE_CONTESTS / "data").iterdir():
        assert pq.ParquetFile(path).num_row_groups == 1


def test_each_split_has_its_problems_and_python_rows(
    problems: Problems, encoder: spm.SentencePieceProcessor
) -> None:
    counts = {}
    for split, rows in problems.items():
        kept: Counter[str] = Counter()
        for problem in rows:
            fixed = len(encoder.encode(problem["description"]))
            shown = (pair for pair in _pairs(problem) if all(pair))
            fixed += len(encoder.encode("\n\n".join(f"Input: {a}\nOutput: {b}" for a, b in shown)))
            for field in ("solutions", "incorrect_solutions"):
                for text in _python(problem[field]):
                    stays = fixed + len(encoder.encode(text)) <= TOKEN_LIMIT
                    kept[field if stays else "too long"] += 1
        counts[split] = (len(rows), *(kept[key] for key in COUNTED))
    assert counts == {
        "train": (60, 188, 193, 26),
        "valid": (12, 41, 42, 5),
        "test": (12, 38, 37, 1),
    }


COUNTED = ("solutions", "incorrect_solutions", "too long")


def _pairs(problem: Row) -> list[tuple[str, str]]:
    tests = problem["public_tests"]
    return list(zip(tests["input"], tests["output"], strict=True))[:2]


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_each_split_has_a_row_exactly_at_the_filter_and_one_just_beyond(
    problems: Problems, encoder: spm.SentencePieceProcessor, split: str
) -> None:
    tokens = Counter(
        sum(len(encoder.encode(part)) for part in (problem["description"], _shown(problem), text))
        for problem in problems[split]
        for field in ("solutions", "incorrect_solutions")
        for text in _python(problem[field])
    )
    assert tokens[TOKEN_LIMIT] > 0
    assert tokens[TOKEN_LIMIT + 1] > 0


def test_every_upstream_oddity_occurs_in_train(problems: Problems) -> None:
    train = problems["train"]
    assert {row["difficulty"] for row in train} == {*range(0, 13), 19}
    assert {row["source"] for row in train} == {1, 2, 3, 4, 6, 7}
    languages = Counter(code for row in train for code in row["solutions"]["language"])
    assert set(languages) == {0, 1, 2, 3, 4}
    assert 0 < sum(row["time_limit"] is None for row in train) < len(train)

    named: dict[str, list[int]] = {}
    for row in train:
        named.setdefault(row["name"], []).append(row["source"])
    shared = {name: sources for name, sources in named.items() if len(sources) > 1}
    assert sorted(map(sorted, shared.values())) == [[1, 1], [1, 6]]

    empty = [not row["solutions"]["solution"] for row in train]
    no_wrong = [not row["incorrect_solutions"]["solution"] for row in train]
    assert sum(empty) == 3
    assert sum(no_wrong) == 2
    assert (
        sum(
            not _python(row["solutions"]) and not none
            for row, none in zip(train, empty, strict=True)
        )
        == 1
    )
    assert any("\r\n" in row["description"] for row in train)
    text = "".join(text for row in train for text in row["solutions"]["solution"])
    wrong = "".join(text for row in train for text in row["incorrect_solutions"]["solution"])
    assert "\0" in wrong
    assert all(odd in text for odd in ("\r\n", "\t", "\u2028", SPACE, "🐍", "\x7f", "e\u0301"))
    assert any("" in row["public_tests"]["input"] for row in train)
    assert any("" in row["public_tests"]["output"] for row in train)
    assert any(not row["public_tests"]["input"] for row in train)
    assert any(row["is_description_translated"] for row in train)


def test_no_program_comes_twice_within_a_problem(problems: Problems) -> None:
    for problem in _everything(problems):
        for field in ("solutions", "incorrect_solutions"):
            texts = problem[field]["solution"]
            assert len(texts) == len(set(texts)), problem["name"]


def _execute(program: str, name: str = "") -> dict[str, Any]:
    scope: dict[str, Any] = {"__name__": name}
    exec(program, scope)  # noqa: S102  # the sample's programs are our own
    return scope


def _run(program: str, asked: str) -> str:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(sys, "stdin", io.StringIO(asked))
        _execute(program, "__main__")
    return out.getvalue()


def test_every_right_python_3_program_solves_its_public_tests(problems: Problems) -> None:
    ran = 0
    for problem in _everything(problems):
        if "" in problem["public_tests"]["input"] or "several answers" in problem["description"]:
            continue
        texts = problem["solutions"]
        for language, text in zip(texts["language"], texts["solution"], strict=True):
            if language != PYTHON3 or text.startswith("TABLE = "):
                continue
            tests = problem["public_tests"]
            for asked, wanted in zip(tests["input"], tests["output"], strict=True):
                assert _run(text, asked) == wanted, problem["name"]
                ran += 1
    assert ran > 150


def _answers(body: str, family: Family, k: int, cases: list[str]) -> list[str | None]:
    lines = body.format(k=k).replace("\n", "\n    ")
    answer = _execute(f"def answer(a):\n    {lines}")["answer"]
    found: list[str | None] = []
    for case in cases:
        asked = case if family.words else [int(part) for part in case.split()]
        try:
            found.append(str(answer(asked)))
        except (IndexError, ValueError):
            found.append(None)
    return found


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.title)
def test_right_bodies_are_right_and_wrong_ones_fail_somewhere(family: Family) -> None:
    if family.words:
        cases = ["abca", "zzyx", "a", "abba", "xyzzy", "abcdefgh", "aabbccddeeff", "level", "abcab"]
        cases += ["zzabca", "abcdefgxyzx"]
    else:
        cases = ["1 2 3", "5", "30 0 7 7 2 8 9", "2 4 6 8 10 12 3 1", "1 1 1 0 2 0 3 0 5 4 6 2"]
    for k in range(2, 9):
        wanted = [family.solve(case, k) for case in cases]
        for body in family.right:
            assert _answers(body, family, k, cases) == wanted
    for body in family.wrong:
        assert any(
            _answers(body, family, k, cases) != [family.solve(case, k) for case in cases]
            for k in range(2, 9)
        )


def test_the_splits_do_not_depend_on_anything_but_the_tokenizer() -> None:
    assert code_contests(tokenizer_model()) == code_contests(tokenizer_model())
