"""A training split of upstream's size, or a part of it, with near-duplicates among solutions.

The text is that of `benchmarks.codecontests.generator`, but that three of ten solutions are copies
of an earlier one of the same problem: a fifth of them verbatim, the others with one to eight lines
changed. One problem in five hundred has as many as ten thousand solutions, as upstream's most
popular ones have thousands.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.codecontests.generator import PROBLEMS, PROBLEMS_PER_SHARD, SCHEMA, Shard

_COPIED, _VERBATIM, _MOST = 0.3, 0.2, 8
_KEPT = 200  # earlier solutions that are copied


class _Copies(Shard):
    """A shard in which solutions are copied."""

    def __init__(self, seed: int, number: int) -> None:
        super().__init__(seed, number)
        self._earlier: list[str] = []
        self._of: list[str] = []

    def _python(self, lines: list[str], weights: list[float]) -> str:
        if lines is not self._of:  # another problem
            self._of, self._earlier = lines, []
        draw = self._random
        if self._earlier and draw.random() < _COPIED:
            copy = draw.choice(self._earlier).split("\n")
            if draw.random() >= _VERBATIM:
                for _ in range(draw.randrange(1, _MOST + 1)):
                    copy[draw.randrange(len(copy))] = self._line(draw)
            return "\n".join(copy)
        text = super()._python(lines, weights)
        if len(self._earlier) < _KEPT:
            self._earlier.append(text)
        return text

    def _solutions(
        self, python: float, cpp: float, java: float, lines: list[str], weights: list[float]
    ) -> dict[str, list[Any]]:
        if self._random.random() < 0.002:
            python = 5_000.0
        return super()._solutions(python, 0, 0, lines, weights)  # others are of no use here


def write_shard(folder: Path, seed: int, number: int, problems: int) -> Path:
    """One shard, without the tests, which nobody reads here."""
    path = folder / f"train-{number:05d}.parquet"
    first = number * PROBLEMS_PER_SHARD
    rows = _Copies(seed, number).problems(first, min(PROBLEMS_PER_SHARD, problems - first))
    with pq.ParquetWriter(path, SCHEMA) as writer:
        while chunk := list(itertools.islice(rows, 32)):
            writer.write_batch(pa.RecordBatch.from_pylist(chunk, schema=SCHEMA))
    return path


def write_shards(folder: Path, scale: float, seed: int = 16) -> list[Path]:
    """Write `scale` of a split's problems; the shards in order."""
    problems = max(1, round(PROBLEMS * scale))
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(-(-problems // PROBLEMS_PER_SHARD))
    tasks = [(folder, seed, number, problems) for number in numbers]
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(write_shard, *zip(*tasks, strict=True)))
