"""What a build says of the split it wrote: the report, and the statistics document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wmtp_assets.corpora.row_index import as_numpy

TOKEN_BIN = 128  # tokens a bin of the length histograms
_TOKEN_COLUMNS = ("instruction_tokens", "input_tokens", "output_tokens")


def stats_bytes(stats: Mapping[str, object]) -> bytes:
    """The statistics document as it is written."""
    return json.dumps(stats, indent=2).encode("ascii") + b"\n"


@dataclass(frozen=True)
class SplitReport:
    """A split on disk. `files` maps each written file's name to its SHA-256."""

    dataset: str
    split: str
    jsonl: Path
    index: Path
    stats_file: Path
    rows: int
    correct: int | None
    incorrect: int | None
    files: Mapping[str, str]
    stats: Mapping[str, Any]
    seconds: float


@dataclass
class Tally:
    """Distributions over rows, added up block by block."""

    rows: int = 0
    problems: int = 0
    dists: dict[str, dict[str, int]] = field(
        default_factory=lambda: {name: {} for name in ("source", "language", "flags")}
    )
    by_class: dict[str, dict[str, int]] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)
    greatest: dict[str, int] = field(default_factory=dict)
    histograms: dict[str, list[int]] = field(default_factory=dict)
    _last_problem: int = -1

    def add(self, table: pa.Table) -> None:
        self.rows += table.num_rows
        if not table.num_rows:
            return
        problem = as_numpy(table["problem"])
        self.problems += int(np.count_nonzero(np.diff(problem, prepend=self._last_problem)))
        self._last_problem = int(problem[-1])
        for name, dist in self.dists.items():
            _count(dist, as_numpy(table[name]))
        is_correct, difficulty = as_numpy(table["is_correct"]), as_numpy(table["difficulty"])
        for value, kind in ((1, "correct"), (0, "incorrect")):
            if (is_correct == value).any():
                _count(self.by_class.setdefault(kind, {}), difficulty[is_correct == value])
        total = np.zeros(table.num_rows, dtype=np.int64)
        for name in _TOKEN_COLUMNS:
            tokens = as_numpy(table[name]).astype(np.int64)
            total += tokens
            self._add_tokens(name, tokens)
        self._add_tokens("total_tokens", total)

    def _add_tokens(self, name: str, tokens: NDArray[np.int64]) -> None:
        self.sums[name] = self.sums.get(name, 0) + int(tokens.sum())
        self.greatest[name] = max(self.greatest.get(name, 0), int(tokens.max()))
        bins = np.bincount(tokens // TOKEN_BIN)
        known = self.histograms.setdefault(name, [])
        known += [0] * (len(bins) - len(known))
        for place, times in enumerate(bins.tolist()):
            known[place] += times

    def document(self) -> dict[str, object]:
        return {
            "problems_with_rows": self.problems,
            "source_dist": _sorted(self.dists["source"]),
            "language_dist": _sorted(self.dists["language"]),
            "flags_dist": _sorted(self.dists["flags"]),
            "difficulty_by_class": {name: _sorted(dist) for name, dist in self.by_class.items()},
            "tokens": {
                name: {
                    "mean": round(self.sums[name] / self.rows, 3),
                    "max": self.greatest[name],
                    f"histogram_by_{TOKEN_BIN}": self.histograms[name],
                }
                for name in sorted(self.sums)
            },
        }


def _count(dist: dict[str, int], values: NDArray[Any]) -> None:
    for value, times in zip(
        *map(np.ndarray.tolist, np.unique(values, return_counts=True)), strict=True
    ):
        key = "null" if value == -1 else str(value)
        dist[key] = dist.get(key, 0) + times


def _sorted(dist: dict[str, int]) -> dict[str, int]:
    return {key: dist[key] for key in sorted(dist, key=lambda key: (len(key), key))}
