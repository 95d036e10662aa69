"""Corpora of given rows, and the real evaluation sets as such."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.row_index import IndexWriter

REAL = (Path(__file__).parents[3] / "../shared/data").resolve()
MBPP_SPLITS = {"train": (601, 975), "validation": (511, 601), "test": (11, 511), "prompt": (1, 11)}


def corpus_of(folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> Corpus:
    """A corpus of these rows: `instruction`, `output`, and `problem` where it is not the row's
    number."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for at, row in enumerate(rows):
        record = {
            "instruction": row.get("instruction", f"Solve problem {at}."),
            "input": "",
            "output": row.get("output", "pass\n"),
            "task_id": str(at),
            "metadata": {"source": "test"},
        }
        lines.append(json.dumps(record).encode() + b"\n")
    data = b"".join(lines)
    jsonl = folder / f"{name}.jsonl"
    jsonl.write_bytes(data)
    lengths = np.array([len(line) for line in lines], np.int64)
    numbers = [row.get("problem", at) for at, row in enumerate(rows)]
    columns = {
        "problem": np.array(numbers, np.int64),
        "offset": np.cumsum(lengths) - lengths,
        "length": lengths,
        **dict.fromkeys(
            ("instruction_tokens", "input_tokens", "output_tokens", "flags", "language"),
            np.ones(len(rows), np.int64),
        ),
    }
    with (folder / f"{name}.index.parquet").open("wb") as file:
        writer = IndexWriter(file)
        writer.write(columns, len(rows))
        digest = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        facts = {"dataset": folder.name, "split": name, "rows": len(rows), "jsonl": digest}
        writer.close({**facts, "metadata": {"bytes": 0, "sha256": ""}})
    return Corpus(jsonl)


def real_rows(name: str) -> list[dict[str, Any]]:
    """The rows of HumanEval, or of a split of MBPP (`mbpp/test`); a skipped test where they are not
    beside the checkout."""
    if not REAL.is_dir():
        pytest.skip(f"the real data is not at {REAL}")
    if name == "humaneval":
        with gzip.open(REAL / "humaneval/HumanEval.jsonl.gz", "rt", encoding="utf-8") as file:
            found = map(json.loads, file)
            return [
                {"instruction": one["prompt"], "output": one["canonical_solution"]} for one in found
            ]
    first, end = MBPP_SPLITS[name.removeprefix("mbpp/")]
    text = (REAL / "mbpp/mbpp.jsonl").read_text(encoding="utf-8")
    tasks = [json.loads(line) for line in text.splitlines()]
    return [
        {"instruction": task["text"], "output": task["code"]}
        for task in tasks
        if first <= task["task_id"] < end
    ]
