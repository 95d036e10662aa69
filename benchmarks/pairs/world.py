"""A split of upstream's size, as its row index and as the metadata file that training loads.

13,328 problems and 3,691,981 rows, in upstream's proportions: a problem has few solutions or many,
47 % of rows are correct, difficulty is of the problem, and lengths of outputs are log-normal with a
mean of 170 tokens (correct) and 226 (incorrect). The JSONL is a sparse file: nothing here reads
rows.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np

from wmtp_assets.corpora.row_index import ROWS_PER_GROUP, IndexWriter

ROWS, PROBLEMS = 3_691_981, 13_328
_LINE = 4096


def write(folder: Path) -> None:
    """Write train.jsonl and train.index.parquet to `folder`, with what peers load: the metadata
    file that training reads (train_document.json) and its problem_index_map alone."""
    random = np.random.default_rng(15)
    sizes = random.lognormal(5.0, 1.1, PROBLEMS)
    ends = np.round(np.cumsum(sizes) / sizes.sum() * ROWS).astype(np.int64)
    problem = np.searchsorted(ends, np.arange(ROWS), side="right").astype(np.int32)
    begins = np.concatenate(([0], ends[:-1]))
    share = np.clip(random.normal(0.47, 0.15, PROBLEMS), 0, 1)
    # Of each problem the correct rows come first.
    is_correct = np.arange(ROWS) - begins[problem] < np.round(share * (ends - begins))[problem]
    is_correct[[0, -1]] = True
    level = random.choice([0, 1, 2, 7, 8, 9, 10, 11, 12, 13], PROBLEMS).astype(np.int16)
    mean = np.where(is_correct, np.log(170), np.log(226)) - 0.32
    tokens = np.clip(random.lognormal(mean, 0.8), 1, 2048).astype(np.uint16)

    line = json.dumps({"is_correct": True}).encode()
    with (folder / "train.jsonl").open("wb") as file:
        for row in (0, ROWS - 1):
            file.seek(row * _LINE)
            file.write(line[:-1] + b" " * (_LINE - len(line) - 1) + b"}\n")
    with (folder / "train.index.parquet").open("wb") as file:
        writer = IndexWriter(file)
        for begin in range(0, ROWS, ROWS_PER_GROUP):
            part = slice(begin, begin + ROWS_PER_GROUP)
            rows = problem[part]
            place = np.arange(begin, begin + rows.size)
            writer.write(
                {
                    "problem": rows,
                    "is_correct": is_correct[part],
                    "difficulty": level[rows],
                    "source": np.full(rows.size, 2, np.int16),
                    "language": np.full(rows.size, 3, np.int8),
                    "cf_rating": np.zeros(rows.size, np.int32),
                    "instruction_tokens": (rows % 600 + 100).astype(np.uint16),
                    "input_tokens": np.zeros(rows.size, np.uint16),
                    "output_tokens": tokens[part],
                    "offset": place * _LINE,
                    "length": np.full(rows.size, _LINE, np.int32),
                    "flags": np.zeros(rows.size, np.uint8),
                },
                rows.size,
            )
        facts: dict[str, Any] = {
            "dataset": "codecontests",
            "split": "train",
            "jsonl": {"sha256": "0" * 64, "bytes": ROWS * _LINE},
            "metadata": {"sha256": "0" * 64, "bytes": 0},
        }
        writer.close(facts)
    _write_maps(folder, problem, is_correct, level, tokens)


def _write_maps(folder: Path, problem: Any, is_correct: Any, level: Any, tokens: Any) -> None:
    with (
        (folder / "train_map.json").open("w") as alone,
        (folder / "train_document.json").open("w") as whole,
    ):
        whole.write('{\n  "metadata": [\n')
        entries = zip(is_correct.tolist(), level[problem].tolist(), problem.tolist(), strict=True)
        for at, (right, difficulty, number) in enumerate(entries):
            entry = {"is_correct": right, "difficulty": difficulty, "problem_id": _name(number)}
            text = json.dumps(entry, indent=2).replace("\n", "\n    ")
            whole.write(f"{',' * (at > 0)}\n    {text}")
        whole.write('\n  ],\n  "problem_index_map": ')
        alone.write('{"problem_index_map": ')
        bounds = np.flatnonzero(np.diff(problem, prepend=-1, append=PROBLEMS))
        for at, (begin, end) in enumerate(itertools.pairwise(bounds.tolist())):
            right = is_correct[begin:end]
            rows, lengths = np.arange(begin, end), tokens[begin:end]
            entry = {
                "difficulty": int(level[problem[begin]]),
                "correct_indices": rows[right].tolist(),
                "incorrect_indices": rows[~right].tolist(),
                "correct_token_lengths": lengths[right].tolist(),
                "incorrect_token_lengths": lengths[~right].tolist(),
            }
            text = json.dumps({_name(int(problem[begin])): entry}, indent=2)[1:-2]
            for file in (alone, whole):
                file.write(("," if at else "{") + text)
        alone.write("\n}}\n")
        whole.write("\n},\n")
        whole.write(f'  "stats": {{"total": {ROWS}}}\n}}\n')


def _name(number: int) -> str:
    return f"{number}_{chr(65 + number % 6)}. Problem of the year {number}"
