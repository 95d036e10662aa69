"""Rows to execute, in code_contests' schema: small programs, some of which fail or do not parse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sentencepiece

from benchmarks.codecontests.generator import SCHEMA
from wmtp_assets.corpora.build import build_split
from wmtp_assets.corpora.formats import FORMATS
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.quality.judged_parts import RowsToExecute

LAYOUT = "code-contests"
SOLUTIONS = 20
"""Of a problem, half of them labelled correct."""
_RIGHT = "numbers = list(map(int, input().split()))\nprint(sum(numbers) + {at} - {at})\n"
_WRONG = (
    "numbers = list(map(int, input().split()))\nprint(max(numbers) * {at})\n",
    "print(int(input()) + {at})\n",
    "print({at}\n",
)


def write_rows(folder: Path, problems: int, tests: int) -> None:
    """Writes a shard of so many problems with so many tests each, and builds its rows."""
    shard = folder / "shard.parquet"
    rows = [_problem(number, tests) for number in range(problems)]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), shard)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([row["description"] for row in rows]),
        model_prefix=str(folder / "small"),
        vocab_size=300,
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    build_split(FORMATS[LAYOUT], [shard], folder / "small.model", folder, "train")


def rows_in(folder: Path) -> RowsToExecute:
    """All rows of a folder that `write_rows` wrote."""
    corpus = folder / "train.jsonl"
    return RowsToExecute(
        rows=np.arange(len(Corpus(corpus)), dtype=np.int64),
        corpus=corpus,
        layout=LAYOUT,
        contract="phase1",
        shards=[folder / "shard.parquet"],
        known=folder / "known",
    )


def _problem(number: int, tests: int) -> dict[str, Any]:
    inputs = [
        " ".join(str((number * 31 + at * 7 + i) % 1000) for i in range(50)) for at in range(tests)
    ]
    outputs = [str(sum(map(int, one.split()))) for one in inputs]
    right = [_RIGHT.format(at=number * 100 + at) for at in range(SOLUTIONS // 2)]
    wrong = [_WRONG[at % 3].format(at=number * 100 + at) for at in range(SOLUTIONS // 2)]
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    return row | {
        "name": f"{number}_A. Sum",
        "description": f"Given some integers, print their sum. This is problem number {number}.",
        "public_tests": {"input": inputs, "output": outputs},
        "private_tests": {"input": [], "output": []},
        "generated_tests": {"input": [], "output": []},
        "source": 2,
        "difficulty": 7,
        "solutions": {"language": [3] * len(right), "solution": right},
        "incorrect_solutions": {"language": [3] * len(wrong), "solution": wrong},
        "cf_rating": 800,
        "time_limit": {"seconds": 2, "nanos": 0},
    }
