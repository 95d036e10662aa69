"""deepmind/code_contests in miniature: the Hub's schema, file names and difficult values.

60 train, 12 valid and 12 test problems. Most are a family of problems.py with one number filled
in; those numbered in oddities.py carry, one each, what upstream's rows are known to hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import sentencepiece as spm

from wmtp_assets.sample.files import write_readme
from wmtp_assets.sample.noise import NOISE, family_of, k_of
from wmtp_assets.sample.oddities import EXACT, ODDITIES, pad
from wmtp_assets.sample.parquet import Row, write_parquet
from wmtp_assets.sample.problems import FAMILIES, TELLERS, Family, draw
from wmtp_assets.sample.programs import CPP, JAVA, UNKNOWN, other_program, python_program
from wmtp_assets.sample.row import FEATURES, Problem, Tests, Texts, add_program

CODE_CONTESTS = "datasets/deepmind/code_contests"

# The raw integers of the proto: it skips source 5 (6 is ATCODER, 7 AIZU) and difficulty 18 (19 is
# L), although the labels above do not.
_CODEFORCES = 2
_SHARD_HASH = "35911b86d703625a"  # ends the names of upstream's shards
_SOURCE_AND_DIFFICULTY = (
    *((2, 7), (1, 1), (6, 0), (2, 8), (7, 6), (3, 2), (2, 9), (4, 0), (1, 3), (2, 10), (7, 0)),
    *((2, 11), (3, 4), (6, 5), (2, 12), (2, 19), (2, 7), (1, 0), (7, 6)),
)
_TRANSLATED = "У {who} есть список чисел. Найдите ответ для числа {k}."


def write_code_contests(root: Path, tokenizer: bytes) -> None:
    """Write two train shards, valid and test below `root`."""
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
        write_parquet(repo / f"data/{shard}-{_SHARD_HASH}.parquet", FEATURES, rows)
    write_readme(repo, "small problems with solutions")


def code_contests(tokenizer: bytes) -> dict[str, list[Problem]]:
    """The problems of each split; `tokenizer` decides where rows meet the length filter."""
    encoder = spm.SentencePieceProcessor(model_proto=tokenizer)

    def count(text: str) -> int:
        return len(encoder.encode(text))

    problems = [_problem(number) for number in range(7 * len(FAMILIES))]
    for number, change in NOISE.items():
        change(problems[number], family_of(number), k_of(number))
    for number, odd in ODDITIES.items():
        odd(problems[number])
    for number, where, index, tokens in EXACT:
        pad(problems[number], where, index, tokens, count)
    return {"train": problems[:60], "valid": problems[60:72], "test": problems[72:]}


def _problem(number: int) -> Problem:
    family, k = family_of(number), k_of(number)
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


def _test(family: Family, k: int, seed: str, cases: int) -> tuple[str, str]:
    lines: list[str] = []
    for case in range(cases):
        length = 3 + draw(f"{seed} length {case}", 1)[0] % 8
        drawn = draw(f"{seed} case {case}", length)
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
        add_program(texts, *python_program(bodies[turn % len(bodies)], family, k, style))
        if turn % 2:
            language = (CPP, JAVA, CPP, UNKNOWN)[turn // 2 % 4]
            add_program(texts, language, other_program(language, k + turn))
    return texts
