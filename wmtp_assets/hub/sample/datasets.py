"""deepmind/code_contests in miniature: the Hub's schema, file names and difficult values.

60 train, 12 valid and 12 test problems. Most are a family of problems.py with one number filled
in; those numbered in _ODDITIES carry, one each, what upstream's rows are known to hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import sentencepiece as spm

from wmtp_assets.hub.sample.parquet import Row, label, sequence, value, write_parquet
from wmtp_assets.hub.sample.problems import FAMILIES, TELLERS, Family
from wmtp_assets.hub.sample.programs import (
    CPP,
    JAVA,
    PYTHON2,
    PYTHON3,
    UNKNOWN,
    other_program,
    python_program,
)

CODE_CONTESTS = "datasets/deepmind/code_contests"
TOKEN_LIMIT = 2048
"""The contract's filter: a row of exactly this many tokens stays."""

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

# The raw integers of the proto: it skips source 5 (6 is ATCODER, 7 AIZU) and difficulty 18 (19 is
# L), although the labels above do not.
_CODEFORCES = 2
_SOURCE_AND_DIFFICULTY = (
    *((2, 7), (1, 1), (6, 0), (2, 8), (7, 6), (3, 2), (2, 9), (4, 0), (1, 3), (2, 10), (7, 0)),
    *((2, 11), (3, 4), (6, 5), (2, 12), (2, 19), (2, 7), (1, 0), (7, 6)),
)
_TRANSLATED = "У {who} есть список чисел. Найдите ответ для числа {k}."


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


def write_code_contests(root: Path, tokenizer: bytes, shard_hash: str) -> None:
    """Write two train shards, valid and test below `root`; `shard_hash` ends the file names."""
    repo = root / CODE_CONTESTS
    splits = code_contests(tokenizer)
    train = splits["train"]
    shards: Mapping[str, Sequence[Problem]] = {
        "train-00000-of-00002": train[: len(train) // 2],
        "train-00001-of-00002": train[len(train) // 2 :],
        "valid-00000-of-00001": splits["valid"],
        "test-00000-of-00001": splits["test"],
    }
    for shard, problems in shards.items():
        rows: list[Row] = [dict(problem) for problem in problems]
        write_parquet(repo / f"data/{shard}-{shard_hash}.parquet", FEATURES, rows)
    (repo / "README.md").write_text(
        "---\nlicense: cc-by-4.0\n---\n"
        "Written by wmtp_assets as a stand-in for deepmind/code_contests; nothing of it is in it.\n"
    )


def code_contests(tokenizer: bytes) -> dict[str, list[Problem]]:
    """The problems of each split; `tokenizer` decides where rows meet the length filter."""
    encoder = spm.SentencePieceProcessor(model_proto=tokenizer)

    def count(text: str) -> int:
        return len(encoder.encode(text))

    problems = [_problem(number) for number in range(7 * len(FAMILIES))]
    for number, change in _ODDITIES.items():
        change(problems[number])
    for number, where, index, tokens in _EXACT:
        _pad(problems[number], where, index, tokens, count)
    return {"train": problems[:60], "valid": problems[60:72], "test": problems[72:]}


def _problem(number: int) -> Problem:
    family, k = FAMILIES[number % len(FAMILIES)], 2 + number // len(FAMILIES)
    who = TELLERS[number % len(TELLERS)]
    source, difficulty = _SOURCE_AND_DIFFICULTY[number % len(_SOURCE_AND_DIFFICULTY)]
    name = {
        1: f"PACK{number:02d}",
        2: f"{1500 + number}_{'ABCDE'[number % 5]}. {family.title}",
        6: f"p{number:05d} AtCoder Sample Contest {number} - {family.title}",
        7: f"p{number:05d} {family.title}",
    }.get(source, f"{family.title.lower().replace(' ', '-')}-{k}")
    public = [_test(family, k, f"{number} public {part}", 3) for part in range(1 + number % 3)]
    codeforces = source == _CODEFORCES
    return {
        "name": name,
        "description": _description(family, k, who, public[0]),
        "public_tests": _tests(public),
        "private_tests": _tests([_test(family, k, f"{number} private", 4)]),
        "generated_tests": _tests([_test(family, k, f"{number} {part}", 8) for part in range(4)]),
        "source": source,
        "difficulty": difficulty,
        "solutions": _texts(family, k, number, family.right, 2 + number % 4),
        "incorrect_solutions": _texts(family, k, number + 1, family.wrong, 2 + number // 2 % 4),
        "cf_contest_id": 1500 + number if codeforces else 0,
        "cf_index": "ABCDE"[number % 5] if codeforces else "",
        "cf_points": 500.0 * (1 + number % 5) if codeforces else 0.0,
        "cf_rating": 800 + 100 * (number % 17) if codeforces else 0,
        "cf_tags": ["implementation", "math"][: 1 + number % 2] if codeforces else [],
        "is_description_translated": number % 17 == 4,
        "untranslated_description": _TRANSLATED.format(who=who, k=k) if number % 17 == 4 else "",
        "time_limit": None
        if number % 9 == 5
        else {"seconds": 1 + number % 3, "nanos": 500_000_000 * (number % 2)},
        "memory_limit_bytes": 0 if source == 1 else 256_000_000,
        "input_file": "",
        "output_file": "",
    }


def _description(family: Family, k: int, who: str, example: tuple[str, str]) -> str:
    line = (
        "a word of at most 100 lowercase letters"
        if family.words
        else "the integers of one list: at most 100, none of them less than 0 or greater than 30"
    )
    return (
        f"{family.statement.format(who=who, k=k)}\n\n"
        f"For each test case print {family.asked.format(who=who, k=k)}.\n\n"
        "Input\n\nThe first line contains one integer t (1 ≤ t ≤ 100), the number of test cases."
        f" Each of the next t lines contains {line}.\n\nOutput\n\n"
        "For each test case print the answer on a line of its own.\n\n"
        f"Example\n\nInput\n\n\n{example[0]}\n\nOutput\n\n\n{example[1]}"
    )


def _draw(seed: str, count: int) -> list[int]:
    """`count` numbers of 0..65535 that depend on `seed` alone."""
    data = hashlib.shake_128(seed.encode()).digest(2 * count)
    return [data[2 * part] << 8 | data[2 * part + 1] for part in range(count)]


def _test(family: Family, k: int, seed: str, cases: int) -> tuple[str, str]:
    lines: list[str] = []
    for case in range(cases):
        length = 3 + _draw(f"{seed} length {case}", 1)[0] % 8
        drawn = _draw(f"{seed} case {case}", length)
        if family.words:
            lines.append("".join(chr(97 + number % 26 % (3 + case)) for number in drawn))
        else:
            lines.append(" ".join(str(number % 31) for number in drawn))
    answers = [family.solve(line, k) for line in lines]
    return "\n".join([str(cases), *lines, ""]), "\n".join([*answers, ""])


def _tests(pairs: Sequence[tuple[str, str]]) -> Tests:
    return {"input": [pair[0] for pair in pairs], "output": [pair[1] for pair in pairs]}


def _texts(family: Family, k: int, number: int, bodies: Sequence[str], wanted: int) -> Texts:
    """`wanted` Python programs with others between them, each body in each style at most once."""
    texts: Texts = {"language": [], "solution": []}
    for part in range(wanted):
        turn = number + part
        # Two bodies and three styles meet in all six ways; with three bodies the styles move on
        # after each round. So no program comes twice.
        style = turn if len(bodies) == 2 else turn + turn // 3
        _add(texts, *python_program(bodies[turn % len(bodies)], family, k, style))
        if turn % 2:
            language = (CPP, JAVA, CPP, UNKNOWN)[turn // 2 % 4]
            _add(texts, language, other_program(language, k + turn))
    return texts


def _add(texts: Texts, language: int, solution: str) -> None:
    texts["language"].append(language)
    texts["solution"].append(solution)


# --- what upstream is known to hold, one oddity a problem ------------------------------------


def _no_solutions(problem: Problem) -> None:
    problem["solutions"] = {"language": [], "solution": []}


def _no_incorrect(problem: Problem) -> None:
    problem["incorrect_solutions"] = {"language": [], "solution": []}


def _nothing_at_all(problem: Problem) -> None:
    _no_solutions(problem)
    _no_incorrect(problem)


def _only_compiled(problem: Problem) -> None:
    problem["solutions"] = {
        "language": [CPP, JAVA],
        "solution": [other_program(CPP, 3), other_program(JAVA, 3)],
    }


def _crlf(problem: Problem) -> None:
    problem["description"] = problem["description"].replace("\n", "\r\n")
    texts = problem["solutions"]["solution"]
    problem["solutions"]["solution"] = [text.replace("\n", "\r\n") for text in texts]


def _nul(problem: Problem) -> None:
    _add(problem["incorrect_solutions"], PYTHON3, "print(input())\n# written on paper\0\0\n")


def _tabs(problem: Problem) -> None:
    texts = problem["solutions"]["solution"]
    problem["solutions"]["solution"] = [text.replace("    ", "\t") for text in texts]


def _unicode(problem: Problem) -> None:
    remark = "# été – naïve Lösung 解答 🐍 e\u0301 \u200b\u2028 ends here, \u2581 and \x7f do not\n"
    solutions = problem["solutions"]
    solutions["solution"] = [
        remark + text if language == PYTHON3 else text
        for language, text in zip(solutions["language"], solutions["solution"], strict=True)
    ]


def _empty_sides(problem: Problem) -> None:
    """The first pair has no input, the second no output, the third is whole."""
    tests = problem["public_tests"]
    problem["public_tests"] = {
        "input": ["", *tests["input"][:1], *tests["input"]],
        "output": [*tests["output"][:1], "", *tests["output"]],
    }


def _no_public_tests(problem: Problem) -> None:
    problem["public_tests"] = {"input": [], "output": []}


def _long_description(problem: Problem) -> None:
    """No row of this problem passes the filter, whatever its solution."""
    problem["description"] += "\n\nNote\n\n" + "\n".join(
        f"In step {step} the rule of the first part holds again, for the numbers {step} and"
        f" {step + 1} of the list, unless they were taken before."
        for step in range(1, 61)
    )


def _long_input(problem: Problem) -> None:
    line = " ".join(str(number % 31) for number in _draw("a long public test", 1600))
    problem["public_tests"]["input"][0] = f"1\n{line}\n"


def _long_solutions(problem: Problem) -> None:
    """Answers looked up in a table: longer than the filter by far."""
    table = ", ".join(str(number) for number in _draw("a table of answers", 900))
    for texts in (problem["solutions"], problem["incorrect_solutions"]):
        _add(texts, PYTHON3, f"TABLE = [{table}]\nprint(TABLE[int(input())])\n")
        _add(texts, PYTHON2, f"TABLE = [{table}]\nprint TABLE[input()]\n")


def _thorough_remarks(problem: Problem) -> None:
    """More bytes than the filter's tokens, but fewer tokens: only counting decides."""
    remarks = "".join(
        f"# The answer for the first {part} values is the number of the values that are not"
        " taken in the order of the input.\n"
        for part in range(1, 24)
    )
    for texts in (problem["solutions"], problem["incorrect_solutions"]):
        texts["solution"] = [
            remarks + text if language in (PYTHON2, PYTHON3) else text
            for language, text in zip(texts["language"], texts["solution"], strict=True)
        ]


def _named(name: str) -> Callable[[Problem], None]:
    def rename(problem: Problem) -> None:
        problem["name"] = name

    return rename


_ODDITIES: Mapping[int, Callable[[Problem], None]] = {
    # Equal names: 1 is CODECHEF's and 2 ATCODER's; 20 and 36 are both CODECHEF's.
    1: _named("Sum of Remainders"),
    2: _named("Sum of Remainders"),
    20: _named("PALINDROME"),
    36: _named("PALINDROME"),
    4: _crlf,
    6: _no_solutions,
    8: _nul,
    9: _thorough_remarks,
    11: _unicode,
    13: _empty_sides,
    15: _long_description,
    17: _no_incorrect,
    19: _tabs,
    21: _no_public_tests,
    23: _long_solutions,
    26: _nothing_at_all,
    28: _only_compiled,
    31: _thorough_remarks,
    33: _long_input,
    40: _unicode,
    45: _no_solutions,
    50: _long_solutions,
    55: _crlf,
    61: _no_incorrect,
    63: _unicode,
    66: _long_solutions,
    74: _no_solutions,
    77: _thorough_remarks,
    79: _crlf,
}

# Problem, list, which of its Python programs, and the row's tokens after padding.
_EXACT: Sequence[tuple[int, str, int, int]] = (
    (3, "solutions", 0, TOKEN_LIMIT),
    (3, "solutions", 1, TOKEN_LIMIT + 1),
    (3, "incorrect_solutions", 0, TOKEN_LIMIT),
    (3, "incorrect_solutions", 1, TOKEN_LIMIT + 1),
    (37, "solutions", 0, TOKEN_LIMIT - 1),
    (37, "incorrect_solutions", 0, TOKEN_LIMIT + 2),
    (64, "solutions", 0, TOKEN_LIMIT),
    (64, "solutions", 1, TOKEN_LIMIT + 1),
    (80, "incorrect_solutions", 0, TOKEN_LIMIT),
    (80, "incorrect_solutions", 1, TOKEN_LIMIT + 1),
)


def _pad(
    problem: Problem, where: str, index: int, tokens: int, count: Callable[[str], int]
) -> None:
    """Lengthen a program until its row has exactly `tokens` tokens.

    The row's three parts are counted apart, as the contract says. What stands after a newline is
    counted on its own (a newline is a byte piece), so remarks of known length can be added.
    """
    tests = problem["public_tests"]
    shown = "\n\n".join(
        f"Input: {given}\nOutput: {wanted}"
        for given, wanted in zip(tests["input"][:2], tests["output"][:2], strict=True)
    )
    texts = problem["solutions"] if where == "solutions" else problem["incorrect_solutions"]
    python = [
        position
        for position, language in enumerate(texts["language"])
        if language in (PYTHON2, PYTHON3)
    ]
    text = texts["solution"][python[index]]
    missing = tokens - count(problem["description"]) - count(shown) - count(text)
    remark = "\n# checked by hand for the first values"
    cost = count("#" + remark) - count("#")
    texts["solution"][python[index]] = text + missing // cost * remark + missing % cost * "\n"
