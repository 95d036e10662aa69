"""Writes code_contests parquet in the Hub's exact schema, at any fraction of the real size.

    python -m benchmarks.codecontests.generator FOLDER SCALE

Lengths and counts follow what is known of upstream: 13,328 problems, 342 a shard, one row group a
shard; per problem some 281 Python, 493 C++ and 148 Java solutions (heavy-tailed), 47 % of the
Python ones correct; a statement of 1.8 kB, a Python solution of 0.9 kB. A third of the lines of
Python code are new, the rest were seen before in the problem or anywhere: what tokenizer caches
live on. Other languages and the tests that no one decodes are slices of random text: only their
bytes matter, and hidden tests are as long as it takes for the shards to be upstream's 7.5 GB.

A shard depends on the seed and its own number alone, so shards are written by several processes.
"""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PROBLEMS = 13_328
PROBLEMS_PER_SHARD = 342

_TESTS = pa.struct([("input", pa.list_(pa.string())), ("output", pa.list_(pa.string()))])
_SOLUTIONS = pa.struct([("language", pa.list_(pa.int64())), ("solution", pa.list_(pa.string()))])
SCHEMA = pa.schema(
    [
        ("name", pa.string()),
        ("description", pa.string()),
        ("public_tests", _TESTS),
        ("private_tests", _TESTS),
        ("generated_tests", _TESTS),
        ("source", pa.int64()),
        ("difficulty", pa.int64()),
        ("solutions", _SOLUTIONS),
        ("incorrect_solutions", _SOLUTIONS),
        ("cf_contest_id", pa.int64()),
        ("cf_index", pa.string()),
        ("cf_points", pa.float32()),
        ("cf_rating", pa.int32()),
        ("cf_tags", pa.list_(pa.string())),
        ("is_description_translated", pa.bool_()),
        ("untranslated_description", pa.string()),
        ("time_limit", pa.struct([("seconds", pa.int64()), ("nanos", pa.int64())])),
        ("memory_limit_bytes", pa.int64()),
        ("input_file", pa.string()),
        ("output_file", pa.string()),
    ]
)

_WORDS_TEXT = """
the a of to and is in you are given integer integers array number string each that for it be
with one two first second line contains single test cases element elements sum maximum minimum
operation operations can find such if not at most least there exists print output input answer
graph tree vertex vertices edge edges path length distance between from into cost value values
sequence permutation character characters letter lowercase English consists only positive non-
negative query queries segment subsequence substring prefix suffix equal different distinct pair
pairs Polycarp Alice Bob Vasya Petya game player players turn wins move moves grid cell cells
row rows column columns matrix square rectangle point points plane coordinate coordinates plan
city cities road roads day days minute minutes time total possible number ways modulo denote
denotes following example note explanation case sample guaranteed exceed does doesn't initially
after before then also any all some exactly every other another next previous left right top
bottom up down increasing decreasing order sorted binary decimal digit digits bit
"""
_NAMES_TEXT = """
n m k a b c x y i j s t ans res l r q p d cnt arr num total cur ma mi dp mod left right lst tmp
flag idx val count result graph visited stack parent depth size node start end best
"""
_SYLLABLES_TEXT = """
ma ne co de so lu fi ind ex va lue su mi ter gra no li st ar pre Max Min _ s Id Of
"""
_WORDS, _NAMES, _SYLLABLES = _WORDS_TEXT.split(), _NAMES_TEXT.split(), _SYLLABLES_TEXT.split()
_TEMPLATES = (
    "{a} = int(input())",
    "{a}, {b} = map(int, input().split())",
    "{a} = list(map(int, input().split()))",
    "for {a} in range({b}):",
    "for {a} in range({k}, {b} + 1):",
    "if {a} == {b}:",
    "if {a}[{b}] > {c}:",
    "if {a} % {k} == 0 and {b} < {c}:",
    "while {a} < {b}:",
    "{a} += {b}",
    "{a} -= {k}",
    "{a}.append({b})",
    "{a}[{b}] = {c}",
    "{a}[{b}] += {c}[{b} - {k}] * {k}",
    "{a} = [0] * ({b} + {k})",
    "{a} = [[{k} for _ in range({b})] for _ in range({c})]",
    "{a} = max({a}, {b} + {c})",
    "{a} = min({b}, {c}[{a}])",
    "print({a})",
    'print("YES" if {a} else "NO")',
    'print(" ".join(map(str, {a})))',
    "return {a}",
    "return {a} * {b} % {k}",
    "else:",
    "elif {a} != {b}[{c}]:",
    "break",
    "continue",
    "def solve({a}, {b}):",
    "def {a}{k}({b}):",
    "{a} = sorted({b}, key=lambda {c}: {c}[{k}])",
    "{a} = {b} // {k} + {c} % {k}",
    "{a}, {b} = {b}, {a}",
    "# {a} is the {b} of {c}",
    "import sys",
    "input = sys.stdin.readline",
    "from collections import defaultdict, Counter",
    "from math import gcd, sqrt, ceil",
    "{a} = defaultdict(list)",
    "sys.setrecursionlimit({k})",
    "",
)
_INDENTS = ("", "", "    ", "    ", "    ", "        ", "        ", "            ", "\t", "\t\t")
# Difficulty and its share of problems: 0 a third, 1-6 7 %, 7-11 52 %, 12 and up 8 % (no 18).
_DIFFICULTIES = [0, *range(1, 7), *range(7, 12), *(d for d in range(12, 29) if d != 18)]
_DIFFICULTY_SHARES = [0.33] + [0.07 / 6] * 6 + [0.52 / 5] * 5 + [0.08 / 16] * 16
_SOURCES, _SOURCE_SHARES = [1, 2, 3, 4, 6, 7], [0.05, 0.6, 0.1, 0.01, 0.1, 0.14]
_POOL = 4 << 20
_HIDDEN_TIMES = 6  # lengthens private and generated tests, and no row


class Shard:
    """The text of one shard, from a seed."""

    def __init__(self, seed: int, number: int) -> None:
        self._random = random.Random(f"{seed}/{number}")
        self._numpy = np.random.default_rng([seed, number])
        common = random.Random(seed)
        self._common = [self._line(common) for _ in range(4000)]
        # Frequent lines are far more frequent than others.
        self._common_weights = list(itertools.accumulate(1 / (at + 3) for at in range(4000)))
        lines = [self._line(common) + ";\n" for _ in range(4000)]
        self._code = "".join(self._random.choices(lines, k=_POOL // 20))
        digits = self._numpy.choice(np.frombuffer(b"0123456789 0123456789\n", np.uint8), _POOL)
        self._digits = digits.tobytes().decode("ascii")

    def _line(self, source: random.Random) -> str:
        template = source.choice(_TEMPLATES)
        a, b, c = (self._name(source) for _ in range(3))
        line = template.format(a=a, b=b, c=c, k=source.choice((1, 2, 3, 10, 100, 1000000007)))
        return source.choice(_INDENTS) + line if line else line

    def _name(self, source: random.Random) -> str:
        """A common name, or in one of twelve cases one that somebody made up."""
        if source.random() < 1 / 12:
            return "".join(source.choices(_SYLLABLES, k=source.randrange(2, 5)))
        return source.choice(_NAMES)

    def problems(self, first: int, count: int) -> Iterator[dict[str, Any]]:
        for ordinal in range(first, first + count):
            yield self._problem(ordinal)

    def _problem(self, ordinal: int) -> dict[str, Any]:
        source = self._random.choices(_SOURCES, _SOURCE_SHARES)[0]
        difficulty = self._random.choices(_DIFFICULTIES, _DIFFICULTY_SHARES)[0]
        lines = self._random.choices(self._common, cum_weights=self._common_weights, k=20)
        lines += [self._line(self._random) for _ in range(60)]
        weights = list(itertools.accumulate(1 / (at + 2) for at in range(len(lines))))
        # Some 1.5 % of problems have no solutions at all, and many no incorrect ones.
        popular = 0.0 if self._random.random() < 0.015 else self._lognormal(1.0, 0.9)
        wrong = popular if self._random.random() < 0.85 else 0.0
        tests = self._random.randrange(1, 4)
        return {
            "name": f"{ordinal // 6}_{'ABCDEF'[ordinal % 6]}. {' '.join(self._words(3)).title()}",
            "description": self._description(),
            "public_tests": self._tests(tests, 60),
            "private_tests": self._tests(int(self._lognormal(12, 0.8)), 200, _HIDDEN_TIMES),
            "generated_tests": self._tests(int(self._lognormal(60, 0.5)), 200, _HIDDEN_TIMES),
            "source": source,
            "difficulty": difficulty,
            "solutions": self._solutions(
                popular * 133, popular * 137, popular * 68, lines, weights
            ),
            "incorrect_solutions": self._solutions(
                wrong * 175, wrong * 420, wrong * 94, lines, weights
            ),
            "cf_contest_id": ordinal // 6 if source == 2 else 0,
            "cf_index": "ABCDEF"[ordinal % 6] if source == 2 else "",
            "cf_points": 500.0 if source == 2 else 0.0,
            "cf_rating": self._random.randrange(8, 35) * 100 if source == 2 else 0,
            "cf_tags": ["greedy", "math"] if source == 2 else [],
            "is_description_translated": False,
            "untranslated_description": "",
            "time_limit": None if self._random.random() < 0.1 else {"seconds": 2, "nanos": 0},
            "memory_limit_bytes": 256_000_000,
            "input_file": "",
            "output_file": "",
        }

    def _lognormal(self, mean: float, sigma: float) -> float:
        return mean * self._random.lognormvariate(-sigma * sigma / 2, sigma)

    def _words(self, count: int) -> list[str]:
        return self._random.choices(_WORDS, k=count)

    def _description(self) -> str:
        paragraphs = []
        for _ in range(max(2, int(self._lognormal(7, 0.5)))):
            words = self._words(max(8, int(self._lognormal(42, 0.5))))
            words[0] = words[0].capitalize()
            words[len(words) // 2] = f"n (1 ≤ n ≤ {10 ** self._random.randrange(2, 10)}),"
            paragraphs.append(" ".join(words) + ".")
        return "\n\n".join(paragraphs)

    def _tests(self, count: int, mean: float, times: int = 1) -> dict[str, list[str]]:
        def some(size: float) -> list[str]:
            return [
                self._slice(self._digits, max(2, int(self._lognormal(size, 0.8))), times)
                for _ in range(count)
            ]

        return {"input": some(mean), "output": some(mean / 3)}

    def _slice(self, pool: str, size: int, times: int = 1) -> str:
        begin = self._random.randrange(len(pool) - min(size, 60_000))
        return pool[begin : begin + size * times]

    def _solutions(
        self, python: float, cpp: float, java: float, lines: list[str], weights: list[float]
    ) -> dict[str, list[Any]]:
        languages = [3] * round(python * 0.7) + [1] * round(python * 0.3)
        languages += [2] * round(cpp) + [4] * round(java)
        self._random.shuffle(languages)
        return {
            "language": languages,
            "solution": [
                self._python(lines, weights)
                if language in (1, 3)
                else self._slice(self._code, int(self._lognormal(1600, 0.6)))
                for language in languages
            ],
        }

    def _python(self, lines: list[str], weights: list[float]) -> str:
        count = max(2, int(self._lognormal(38, 0.75)))
        new = count // 3
        chosen = self._random.choices(lines, cum_weights=weights, k=count - new - count // 4)
        chosen += self._random.choices(self._common, cum_weights=self._common_weights, k=count // 4)
        chosen += [self._line(self._random) for _ in range(new)]
        self._random.shuffle(chosen)
        return "\n".join(chosen)


def write_shard(folder: Path, seed: int, number: int, shards: int, problems: int) -> Path:
    path = folder / f"train-{number:05d}-of-{shards:05d}.parquet"
    first = number * PROBLEMS_PER_SHARD
    rows = Shard(seed, number).problems(first, min(PROBLEMS_PER_SHARD, problems - first))
    with pq.ParquetWriter(path, SCHEMA) as writer:
        # Upstream's shards are one row group each; memory here is one shard per process.
        batches = []
        while chunk := list(itertools.islice(rows, 32)):
            batches.append(pa.RecordBatch.from_pylist(chunk, schema=SCHEMA))
        writer.write_table(pa.Table.from_batches(batches), row_group_size=PROBLEMS_PER_SHARD)
    return path


def write_shards(folder: Path, scale: float, seed: int = 2026, processes: int = 2) -> list[Path]:
    """Write `scale` of the real train split's problems; returns the shards in order."""
    problems = max(1, round(PROBLEMS * scale))
    shards = -(-problems // PROBLEMS_PER_SHARD)
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [(folder, seed, number, shards, problems) for number in range(shards)]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(write_shard, *zip(*tasks, strict=True)))


if __name__ == "__main__":
    for shard in write_shards(Path(sys.argv[1]), float(sys.argv[2])):
        print(shard, shard.stat().st_size)
