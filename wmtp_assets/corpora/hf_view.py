"""A corpus as a `datasets.Dataset`: a table of row numbers, and a transform that reads the rows.

Nothing is copied or cached. Imported only when asked for.
"""

from __future__ import annotations

from typing import Any

import datasets
import pyarrow as pa

from wmtp_assets.corpora.selection import Readable, Rows


class _Reader:
    """Turns a batch of row numbers into a batch of columns. A class, so that it pickles."""

    def __init__(self, corpus: Readable) -> None:
        self._corpus = corpus

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        # What `map` adds are further columns; it may also have removed the row numbers.
        added = {name: column for name, column in batch.items() if name != "row"}
        rows = self._corpus.take(batch["row"]) if "row" in batch else []
        return {
            **({name: [row[name] for row in rows] for name in rows[0]} if rows else {}),
            **added,
        }


def view(corpus: Readable, rows: Rows) -> datasets.Dataset:
    """The rows of `corpus` numbered `rows`, in that order."""
    numbers = datasets.Dataset(datasets.table.InMemoryTable(pa.table({"row": rows})))
    return numbers.with_transform(_Reader(corpus))
