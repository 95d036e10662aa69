"""A storage whose train split has as many rows as upstream's: the index is as large, the JSONL not.

Lines are told by the index, which may name the same ones many times: a page reads fifty.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from wmtp_assets.corpora.row_index import ROWS_PER_GROUP, IndexWriter

ROWS, PROBLEMS, LINES = 3_691_981, 13_000, 20_000


def write(storage: Path) -> None:
    """Writes the split below `storage`, where its contract path is."""
    folder = storage / "datasets_v2" / "codecontests" / "processed"
    folder.mkdir(parents=True)
    random = np.random.default_rng(11)
    problem = np.sort(random.integers(0, PROBLEMS, ROWS)).astype(np.int32)
    difficulty = random.integers(0, 29, PROBLEMS).astype(np.int16)
    offsets, lengths = np.empty(LINES, np.int64), np.empty(LINES, np.int32)
    with (folder / "train.jsonl").open("wb") as file:
        for at in range(LINES):
            offsets[at] = file.tell()
            lengths[at] = file.write(_line(at))
        size = file.tell()
    line = np.arange(ROWS) % LINES
    with (folder / "train.index.parquet").open("wb") as file:
        writer = IndexWriter(file)
        for begin in range(0, ROWS, ROWS_PER_GROUP):
            part = slice(begin, begin + ROWS_PER_GROUP)
            rows, lines = problem[part], line[part]
            writer.write(
                {
                    "problem": rows,
                    "is_correct": lines % 2 == 1,
                    "difficulty": difficulty[rows],
                    "source": np.full(rows.size, 2, np.int16),
                    "language": np.full(rows.size, 3, np.int8),
                    "cf_rating": np.zeros(rows.size, np.int32),
                    "instruction_tokens": (rows % 800 + 100).astype(np.uint16),
                    "input_tokens": (rows % 150).astype(np.uint16),
                    "output_tokens": random.integers(10, 1000, rows.size).astype(np.uint16),
                    "offset": offsets[lines],
                    "length": lengths[lines],
                    "flags": (lines % 97 == 0).astype(np.uint8),
                },
                rows.size,
            )
        writer.close(
            {
                "dataset": "codecontests",
                "split": "train",
                "rows": ROWS,
                "jsonl": {"bytes": size, "sha256": ""},
                "metadata": {"bytes": 0, "sha256": ""},
            }
        )


def _line(at: int) -> bytes:
    row = {
        "instruction": f"Read {at} numbers. " * 40,
        "input": "1 2 3\n" * 20,
        "output": "print(sum(map(int, input().split())))\n" * 12,
        "task_id": f"problem{at}_{'correct' if at % 2 else 'incorrect'}_0",
        "is_correct": at % 2 == 1,
        "metadata": {"source": "code_contests", "difficulty": at % 29, "has_tests": True},
    }
    return json.dumps(row).encode() + b"\n"
