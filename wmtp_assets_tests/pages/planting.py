"""A split with rows of one's own, as the sample's catalog has it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wmtp_assets.corpora.row_index import IndexWriter

FOLDER = Path("datasets_v2", "codecontests", "processed")


def row(**changed: Any) -> dict[str, Any]:
    """A row of code_contests."""
    return {
        "instruction": "Add two numbers.",
        "input": "1 2",
        "output": "print(3)\n",
        "task_id": "1_A. Sum_correct_0",
        "is_correct": True,
        "metadata": {"source": "code_contests", "difficulty": 7, "has_tests": True},
    } | changed


def plant(storage: Path, lines: Sequence[bytes], **columns: Sequence[int]) -> None:
    """Writes the train split of codecontests with these lines (each without its newline).

    Columns of the index that are not given are 0, `is_correct` 1 and `difficulty` 7.
    """
    folder = storage / FOLDER
    folder.mkdir(parents=True)
    data = [line + b"\n" for line in lines]
    (folder / "train.jsonl").write_bytes(b"".join(data))
    count = len(data)
    lengths = np.array([len(line) for line in data], np.int32)
    given = {"is_correct": [1] * count, "difficulty": [7] * count, **columns}
    names = ("problem", "source", "language", "cf_rating", "flags")
    names += ("instruction_tokens", "input_tokens", "output_tokens")
    with (folder / "train.index.parquet").open("wb") as file:
        writer = IndexWriter(file)
        writer.write(
            {
                **{name: np.zeros(count, np.int32) for name in names},
                **{name: np.array(values, np.int32) for name, values in given.items()},
                "is_correct": np.array(given["is_correct"]) == 1,
                "offset": np.cumsum(lengths, dtype=np.int64) - lengths,
                "length": lengths,
            },
            count,
        )
        writer.close(
            {
                "dataset": "codecontests",
                "split": "train",
                "rows": count,
                "jsonl": {"bytes": int(lengths.sum()), "sha256": "0" * 64},
                "metadata": {"bytes": 0, "sha256": "0" * 64},
            }
        )


def encoded(one: dict[str, Any]) -> bytes:
    """A row as its line."""
    return json.dumps(one).encode()
