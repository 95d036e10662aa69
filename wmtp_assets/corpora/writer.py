"""Where formatted lines go: JSONL, row index and statistics, written and hashed in one pass."""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.formatting import FACTS, Formatted
from wmtp_assets.corpora.metadata import MetadataText
from wmtp_assets.corpora.report import SplitReport, Tally, stats_bytes
from wmtp_assets.corpora.row_index import ROWS_PER_GROUP, IndexWriter
from wmtp_assets.storage import disk
from wmtp_assets.storage.atomic import atomic_write


class SplitWriter:
    """Writes one split into the folder `out`; nothing has its name before all of it is written.

    `name` begins the files' names: {name}.jsonl, {name}.index.parquet, {name}_stats.json. Without
    `keep_lines` the lines are digested and counted, and no JSONL is written.
    """

    def __init__(
        self,
        out: Path,
        dataset: str,
        split: str,
        name: str | None = None,
        *,
        keep_lines: bool = True,
    ) -> None:
        self._dataset, self._split = dataset, split
        self._keep_lines = keep_lines
        name = split if name is None else name
        self.jsonl = out / f"{name}.jsonl"
        self.index = out / f"{name}.index.parquet"
        self.stats_file = out / f"{name}_stats.json"
        self._begun = time.monotonic()
        self._digest = hashlib.sha256()
        self._metadata_digest = hashlib.sha256()
        self._metadata_bytes = 0
        self._metadata = MetadataText()
        self._tally = Tally()
        self._funnel: Counter[str] = Counter()
        self._pending: list[Formatted] = []
        self._pending_rows = 0
        self.bytes = 0
        self.rows = 0

    def __enter__(self) -> Self:
        disk.make_folders(self.jsonl.parent)
        with ExitStack() as stack:
            self._lines = stack.enter_context(
                atomic_write(self.jsonl) if self._keep_lines else Path(os.devnull).open("wb")
            )
            self._index = IndexWriter(stack.enter_context(atomic_write(self.index)))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, block: Formatted) -> None:
        """Append a block of lines."""
        if isinstance(block.data, range):
            raise TypeError("lines that are still in shared memory")
        self._lines.write(block.data)
        self._digest.update(block.data)
        self.bytes += len(block.data)
        self.rows += len(block.sizes)
        self._funnel.update(block.funnel)
        block.data = b""
        self._pending.append(block)
        self._pending_rows += len(block.sizes)
        if self._pending_rows >= ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        blocks, self._pending, self._pending_rows = self._pending, [], 0
        if not any(len(block.sizes) for block in blocks):
            return  # no empty row group
        lengths = np.concatenate([block.sizes for block in blocks])
        ends = self.bytes - lengths.sum() + np.cumsum(lengths)
        facts = np.concatenate([block.facts[block.places] for block in blocks])
        columns: dict[str, NDArray[Any]] = dict(zip(FACTS, facts.T, strict=True))
        columns |= {
            "is_correct": np.concatenate([block.is_correct for block in blocks]).astype(np.bool_),
            "language": np.concatenate([block.languages for block in blocks]),
            "output_tokens": np.concatenate([block.output_tokens for block in blocks]),
            "flags": np.concatenate([block.flags for block in blocks]),
            "offset": ends - lengths,
            "length": lengths,
        }
        if not blocks[0].classed:
            del columns["is_correct"]
        table = self._index.write(columns, lengths.size)
        self._tally.add(table)
        self._hash_metadata(
            self._metadata.entries(
                table["is_correct"].combine_chunks(), table["difficulty"].combine_chunks()
            )
        )

    def _hash_metadata(self, text: bytes) -> None:
        self._metadata_digest.update(text)
        self._metadata_bytes += len(text)

    def finish(self, made_from: Mapping[str, object]) -> SplitReport:
        """Close the files and give them their names. `made_from` goes into the statistics."""
        self._flush()
        self._hash_metadata(self._metadata.end())
        counts = self._metadata.stats()
        facts: dict[str, object] = {
            "dataset": self._dataset,
            "split": self._split,
            "rows": self.rows,
            "jsonl": {"sha256": self._digest.hexdigest(), "bytes": self.bytes},
            "metadata": {
                "sha256": self._metadata_digest.hexdigest(),
                "bytes": self._metadata_bytes,
            },
            **made_from,
        }
        self._index.close(facts)
        self._stack.close()
        index_digest = hashlib.sha256(self.index.read_bytes()).hexdigest()
        stats: dict[str, object] = {
            **facts,
            "index": {"sha256": index_digest, "bytes": self.index.stat().st_size},
            **counts,
            "funnel": dict(sorted(self._funnel.items())),
            **self._tally.document(),
        }
        with atomic_write(self.stats_file) as file:
            file.write(stats_bytes(stats))
        return SplitReport(
            dataset=self._dataset,
            split=self._split,
            jsonl=self.jsonl,
            index=self.index,
            stats_file=self.stats_file,
            rows=self.rows,
            correct=_number(counts["correct"]),
            incorrect=_number(counts["incorrect"]),
            files={
                self.jsonl.name: self._digest.hexdigest(),
                self.index.name: index_digest,
                self.stats_file.name: hashlib.sha256(self.stats_file.read_bytes()).hexdigest(),
            },
            stats=stats,
            seconds=time.monotonic() - self._begun,
        )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
