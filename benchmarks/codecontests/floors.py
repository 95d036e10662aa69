"""What the parts of the transform cost by themselves, in CPU seconds of one process.

    python -m benchmarks.codecontests.floors TOKENIZER SCRATCH LINES SHARD...

LINES is a JSONL file that was built from the shards. Says {"decode", "tokenize", "escape", "write",
"hash"} as JSON: decode the needed leaves; tokenize what the bounds leave undecided, with a counter
that has seen no solution yet; escape what is kept; write and fsync; hash.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from wmtp_assets.corpora import records
from wmtp_assets.corpora.formats.code_contests import FORMAT
from wmtp_assets.corpora.parquet_file import Shard
from wmtp_assets.corpora.tokens import TokenCounter

_BLOCK = 1 << 20


def main(tokenizer: str, scratch: str, lines: str, *names: str) -> None:
    paths = [Path(name) for name in names]
    counter = TokenCounter(Path(tokenizer))
    counted, outputs = _undecided(paths, counter)
    with open(lines, "rb") as file:  # noqa: PTH123 (read once, below 10 MB are kept)
        blocks = [file.read(_BLOCK) for _ in range(8)]
        total = os.fstat(file.fileno()).st_size
    blocks = [block for block in blocks if block]
    turns = max(1, total // _BLOCK)

    def decode() -> None:
        for path in paths:
            for _ in Shard(path, FORMAT.columns).batches(list(FORMAT.columns), 4):
                pass

    def tokenize() -> None:
        for texts in counted:
            counter.count_many(texts)

    def escape() -> None:
        for text in outputs:
            records.quoted(text)

    def write() -> None:
        target = Path(scratch)
        with target.open("wb", buffering=0) as file:
            for turn in range(turns):
                file.write(blocks[turn % len(blocks)])
            os.fsync(file.fileno())
        target.unlink()

    def digest() -> None:
        sha256 = hashlib.sha256()
        for turn in range(turns):
            sha256.update(blocks[turn % len(blocks)])

    parts = {
        "decode": decode, "tokenize": tokenize, "escape": escape, "write": write, "hash": digest,
    }  # fmt: skip
    print(json.dumps({name: _cpu(part) for name, part in parts.items()}))


def _undecided(paths: list[Path], counter: TokenCounter) -> tuple[list[list[str]], list[str]]:
    """Texts that need a count, in blocks, and the outputs among them."""
    blocks: list[list[str]] = []
    outputs: list[str] = []
    for problem in FORMAT.problems(paths):
        shared = [problem.instruction.decode(), problem.input.decode()]
        left = 2048 - sum(counter.count_many(shared))
        raws = [text for each in problem.solutions for text in each.texts if text is not None]
        sizes = np.array([len(raw) for raw in raws], dtype=np.int64)
        over = counter.surely_over(raws, sizes, np.full(len(raws), left))
        texts = [
            raw.decode() for raw, rejected in zip(raws, over.tolist(), strict=True) if not rejected
        ]
        blocks.append(shared + texts)
        outputs += texts
    return blocks, outputs


def _cpu(part: Callable[[], None]) -> float:
    begun = time.process_time()
    part()
    return time.process_time() - begun


if __name__ == "__main__":
    main(*sys.argv[1:])
