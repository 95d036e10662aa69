"""What a row of code_contests is: the Hub's features, and the same as Python types.

The features are those of the real files, `huggingface` schema metadata included; a test compares.
"""

from __future__ import annotations

from typing import TypedDict

from wmtp_assets.sample.parquet import label, sequence, value

_TESTS = sequence({"input": value("string"), "output": value("string")})
_SOURCES = ("UNKNOWN_SOURCE", "CODECHEF", "CODEFORCES", "HACKEREARTH", "CODEJAM", "ATCODER", "AIZU")
_GRADES = ("UNKNOWN_DIFFICULTY", "EASY", "MEDIUM", "HARD", "HARDER", "HARDEST", "EXTERNAL")
_LANGUAGES = ("UNKNOWN_LANGUAGE", "PYTHON", "CPP", "PYTHON3", "JAVA")
_SOLUTIONS = sequence({"language": label(*_LANGUAGES), "solution": value("string")})
FEATURES = {
    "name": value("string"),
    "description": value("string"),
    "public_tests": _TESTS,
    "private_tests": _TESTS,
    "generated_tests": _TESTS,
    "source": label(*_SOURCES),
    "difficulty": label(*_GRADES, *"ABCDEFGHIJKLMNOPQRSTUV"),
    "solutions": _SOLUTIONS,
    "incorrect_solutions": _SOLUTIONS,
    "cf_contest_id": value("int64"),
    "cf_index": value("string"),
    "cf_points": value("float32"),
    "cf_rating": value("int32"),
    "cf_tags": sequence(value("string")),
    "is_description_translated": value("bool"),
    "untranslated_description": value("string"),
    "time_limit": {"seconds": value("int64"), "nanos": value("int64")},
    "memory_limit_bytes": value("int64"),
    "input_file": value("string"),
    "output_file": value("string"),
}


class Texts(TypedDict):
    language: list[int]
    solution: list[str]


class Tests(TypedDict):
    input: list[str]
    output: list[str]


class Problem(TypedDict):
    """A row of the dataset, in the columns' order."""

    name: str
    description: str
    public_tests: Tests
    private_tests: Tests
    generated_tests: Tests
    source: int
    difficulty: int
    solutions: Texts
    incorrect_solutions: Texts
    cf_contest_id: int
    cf_index: str
    cf_points: float
    cf_rating: int
    cf_tags: list[str]
    is_description_translated: bool
    untranslated_description: str
    time_limit: dict[str, int] | None
    memory_limit_bytes: int
    input_file: str
    output_file: str


def add_program(texts: Texts, language: int, solution: str) -> None:
    """Append a program to a problem's right or wrong ones."""
    texts["language"].append(language)
    texts["solution"].append(solution)
