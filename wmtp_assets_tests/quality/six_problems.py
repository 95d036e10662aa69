"""Six problems whose rows are executed: what passes, fails, loops, does not parse, has no tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.quality.labels import DrawnRows
from wmtp_assets_tests.corpora.conftest import (
    CODE_CONTESTS,
    build_codecontests,
    problem,
    write_shard,
)

_TWO = {"input": ["1 2\n", "4 5\n"], "output": ["3\n", "9\n"]}
_SUM = "print(sum(map(int, input().split())))"
PROBLEMS = [
    problem(
        name="1_A. Sum",
        public_tests=_TWO,
        time_limit={"seconds": 0, "nanos": 250_000_000},
        solutions=[(3, _SUM), (3, "print(3)"), (1, "print 3")],
        incorrect_solutions=[(3, _SUM), (3, "while True: pass"), (3, "print(1"), (3, "1 / 0")],
    ),
    problem(name="2_A. Nobody", solutions=[], incorrect_solutions=[]),
    problem(
        name="3_A. Any",
        description="Print any of them.",
        solutions=[(3, "print(0)")],
        incorrect_solutions=[(3, _SUM)],
    ),
    problem(
        name="4_A. Case",
        description="Print YES or NO in any case.",
        public_tests={"input": ["1\n"], "output": ["YES\n"]},
        generated_tests={"input": [], "output": []},
        solutions=[(3, "print('yes')")],
        incorrect_solutions=[(3, "print('No')")],
    ),
    problem(
        name="5_A. Seen",
        public_tests=_TWO,
        solutions=[(3, "print(7)"), (3, "print(8)"), (3, _SUM)],
        incorrect_solutions=[(3, "print(6)")],
    ),
    problem(
        name="6_A. Untested",
        public_tests={"input": [], "output": []},
        generated_tests=None,
        solutions=[(3, _SUM)],
        incorrect_solutions=[],
    ),
]


@pytest.fixture(scope="session")
def drawn(small_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> DrawnRows:
    folder = tmp_path_factory.mktemp("labels")
    shards = [
        write_shard(folder / f"{at}.parquet", some)
        for at, some in enumerate((PROBLEMS[:3], PROBLEMS[3:]))
    ]
    built = build_codecontests(shards, small_tokenizer, folder / "out", "valid")
    corpus = Corpus(built.jsonl)
    return DrawnRows(corpus, CODE_CONTESTS, shards, np.arange(len(corpus)))
