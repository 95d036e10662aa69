"""`{split}_metadata.json`: the contract's file, entry i for line i, made from the row index.

Byte for byte what `json.dump(document, file, indent=2)` of the standard library writes, without the
gigabyte of dictionaries that this would take for millions of rows: there are only as many different
entries as there are pairs of class and difficulty. An entry has no key for what its rows do not
have: readers take a null for a value.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wmtp_assets.corpora.row_index import RowIndex, as_numpy
from wmtp_assets.storage.atomic import atomic_write


class MetadataText:
    """The document's bytes, entry by entry as rows arrive; then its end, with the statistics."""

    def __init__(self) -> None:
        self._entries: dict[tuple[bool | None, int | None], bytes] = {}
        self._times: Counter[tuple[bool | None, int | None]] = Counter()
        self._started = False

    def entries(self, is_correct: pa.Array, difficulty: pa.Array) -> bytes:
        """The entries of some rows, from their columns in the row index."""
        return self.of_arrays(as_numpy(is_correct), as_numpy(difficulty))

    def of_arrays(self, is_correct: NDArray[np.int8], difficulty: NDArray[Any]) -> bytes:
        """The entries of some rows, from arrays in which -1 stands for none."""
        if not is_correct.size:
            return b""
        codes = _codes(is_correct, difficulty)
        texts = {code: _entry(*_pair(code)) for code in self._count(codes)}
        return self._joined(map(texts.__getitem__, codes.tolist()))

    def count(self, is_correct: NDArray[np.int8], difficulty: NDArray[Any]) -> None:
        """Count some rows for the statistics, as `of_arrays` does, without their entries."""
        self._count(_codes(is_correct, difficulty))

    def _count(self, codes: NDArray[np.int64]) -> list[int]:
        """Count rows by class and difficulty; the different codes among them."""
        found, times = map(np.ndarray.tolist, np.unique(codes, return_counts=True))
        for code, number in zip(found, times, strict=True):
            self._times[_pair(code)] += number
        return list(found)

    def of(self, rows: list[tuple[bool | None, int | None]]) -> bytes:
        """The entries of some rows, from (is_correct, difficulty) of each."""
        if not rows:
            return b""
        self._times.update(rows)
        for pair in self._times.keys() - self._entries.keys():
            self._entries[pair] = _entry(*pair)
        return self._joined(map(self._entries.__getitem__, rows))

    def _joined(self, entries: Iterable[bytes]) -> bytes:
        opening = b",\n" if self._started else b'{\n  "metadata": [\n'
        self._started = True
        return opening + b",\n".join(entries)

    def stats(self) -> dict[str, object]:
        """The contract's `stats`: total, correct, incorrect, difficulty_dist.

        correct and incorrect are None where rows have no class, and difficulty_dist is empty where
        they have no difficulty.
        """
        by_class: Counter[bool | None] = Counter()
        by_difficulty: Counter[int | None] = Counter()
        for (is_correct, difficulty), times in self._times.items():
            by_class[is_correct] += times
            by_difficulty[difficulty] += times
        classed = None not in by_class
        return {
            "total": sum(by_class.values()),
            "correct": by_class[True] if classed else None,
            "incorrect": by_class[False] if classed else None,
            "difficulty_dist": {
                str(value): by_difficulty[value]
                for value in sorted(value for value in by_difficulty if value is not None)
            },
        }

    def entries_seen(self) -> list[dict[str, object]]:
        """Every different entry so far, once."""
        return [json.loads(_entry(*pair)) for pair in self._times]

    def end(self) -> bytes:
        opening = "\n  ]," if self._started else '{\n  "metadata": [],'
        return (opening + json.dumps({"stats": self.stats()}, indent=2)[1:]).encode("ascii")


def write_metadata(index: Path, out: Path) -> dict[str, object]:
    """Write the metadata of the rows that `index` describes to the file `out`.

    Returns {"sha256", "bytes", "stats"}. Raises CorpusError if `index` is not a row index.
    """
    digest = hashlib.sha256()
    size = 0
    text = MetadataText()
    with atomic_write(out) as file:
        for block in _blocks(RowIndex(index), text):
            file.write(block)
            digest.update(block)
            size += len(block)
    return {"sha256": digest.hexdigest(), "bytes": size, "stats": text.stats()}


def _blocks(index: RowIndex, text: MetadataText) -> Iterator[bytes]:
    for batch in index.batches(["is_correct", "difficulty"]):
        yield text.entries(batch["is_correct"], batch["difficulty"])
    yield text.end()


def _codes(is_correct: NDArray[np.int8], difficulty: NDArray[Any]) -> NDArray[np.int64]:
    """A number for each pair of class and difficulty, -1 standing for none."""
    return np.asarray(3 * (difficulty.astype(np.int64) + 1) + is_correct + 1)


def _pair(code: int) -> tuple[bool | None, int | None]:
    number, kind = divmod(code, 3)
    return (None, False, True)[kind], number - 1 if number else None


def _entry(is_correct: bool | None, difficulty: int | None) -> bytes:
    entry = {"is_correct": is_correct, "difficulty": difficulty}
    entry = {name: value for name, value in entry.items() if value is not None}
    lines = json.dumps(entry, indent=2).split("\n")
    return "\n".join("    " + line for line in lines).encode("ascii")
