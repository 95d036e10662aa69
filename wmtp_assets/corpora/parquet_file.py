"""A shard of upstream's: a Parquet file, whose wanted columns are decoded a few rows at a time.

Whatever is wrong with the file is one CorpusError that names it: not Parquet, damaged, encrypted, a
column missing, doubled or of another type, or named in bytes that are no UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wmtp_assets.corpora.columns import Kind, MismatchError, UnequalError, Values, field_of
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.parquet_pages import UNREADABLE, require_bounded_pages

_MOST_BYTES = 64 << 20  # per row, far above upstream's few megabytes
_SHOWN = 500  # characters of what pyarrow says
AS_UPSTREAM = "Fetch the file again; if it is as upstream has it, tell the dataset's authors."


class ColumnsError(CorpusError):
    """A shard has not the columns that are wanted. `names` are those that it has."""

    names: frozenset[str] = frozenset()


class Shard:
    """One Parquet file with the columns `wanted`, each of its kind.

    `rows` is the number of rows that the footer states. A row may have `most_bytes` when it is
    decoded, on the average of those decoded together. Raises CorpusError if the file cannot be
    read, ColumnsError if a column is not there, there twice, or of another type.
    """

    def __init__(
        self, path: Path, wanted: Mapping[str, Kind], most_bytes: int = _MOST_BYTES
    ) -> None:
        self.path = path
        self._wanted = wanted
        self._most_bytes = most_bytes
        self._leaves: dict[str, list[str]] = {}
        with decoding(path, "A shard is not readable Parquet"):
            # A buffered stream, so that a column of a shard is never in memory as a whole.
            self._file = pq.ParquetFile(
                path, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True
            )
            self.rows = int(self._file.metadata.num_rows)
            self._groups = int(self._file.metadata.num_row_groups)
            schema = self._file.schema_arrow
            for name, kind in wanted.items():
                try:
                    self._leaves[name] = kind.check(name, field_of(schema, name, name).type)
                except MismatchError as error:
                    refusal = ColumnsError(
                        f"A shard's column {error.path} is missing or of another type",
                        expected=error.expected,
                        found=_printable(error.found),
                        where=path,
                        hint="Compare with the dataset's card: upstream's schema may have changed.",
                    )
                    refusal.names = frozenset(schema.names)
                    raise refusal from error
            self._check_sizes()
            require_bounded_pages(path, wanted, AS_UPSTREAM)

    def _check_sizes(self) -> None:
        """Refuse a small file that decodes to gigabytes, from what its footer states.

        Not column by column: pyarrow ends the process when it is asked about one that is encrypted.
        """
        self.decoded_bytes = 0
        """Bytes of all columns when they are decompressed, as the footer states."""
        for group in range(self._groups):
            described = self._file.metadata.row_group(group)
            self._check_bytes(int(described.total_byte_size), int(described.num_rows))
            self.decoded_bytes += int(described.total_byte_size)

    def _check_bytes(self, size: int, rows: int) -> None:
        if size > self._most_bytes * max(rows, 1):
            raise CorpusError(
                "A shard is too large for its rows when it is decompressed",
                expected=f"at most {self._most_bytes:,} bytes per row",
                found=f"{size:,} bytes in {rows:,} rows",
                where=self.path,
                hint=AS_UPSTREAM,
            )

    def batches(self, names: list[str], size: int) -> Iterator[pa.RecordBatch]:
        """The columns `names`, `size` rows at a time, in the file's order."""
        leaves = [leaf for name in names for leaf in self._leaves[name]]
        seen = 0
        # A group at a time: pyarrow cannot join the dictionaries of nested columns of several.
        for group in range(self._groups):
            with decoding(self.path):
                # One thread: on two cores the other one formats, and decoding in step keeps
                # memory flat.
                batches = self._file.iter_batches(
                    batch_size=size, row_groups=[group], columns=leaves, use_threads=False
                )
            while True:
                with decoding(self.path):
                    batch = next(batches, None)
                if batch is None:
                    break
                self._check_bytes(int(batch.get_total_buffer_size()), batch.num_rows)
                seen += batch.num_rows
                yield batch
        if seen != self.rows:
            raise CorpusError(
                "A shard has another number of rows than its footer states",
                expected=f"{self.rows:,}",
                found=f"{seen:,}",
                where=self.path,
                hint=AS_UPSTREAM,
            )

    def read(self, batch: pa.RecordBatch, name: str) -> Any:
        """The column `name` of a batch, as its kind gives it."""
        with decoding(self.path, f"A shard's column {name} cannot be decoded"):
            return self._wanted[name].read(batch[name])

    def read_parallel(
        self, batch: pa.RecordBatch, name: str, row_of: Callable[[int], str]
    ) -> tuple[NDArray[np.int64], Values]:
        """As `read`, of a column of lists; where those of a row differ in length, the error names
        the row as `row_of` gives it by its place in the batch."""
        try:
            found: tuple[NDArray[np.int64], Values] = self.read(batch, name)
        except UnequalError as error:
            raise CorpusError(
                f"The lists of {name} are not parallel",
                expected="lists of equal length in every problem",
                found=error.found,
                where=row_of(error.row),
                hint=AS_UPSTREAM,
            ) from error
        return found


@contextmanager
def decoding(path: Path, problem: str = "A shard cannot be decoded") -> Iterator[None]:
    """Raise what pyarrow finds wrong with the file at `path` as a CorpusError that names it."""
    try:
        yield
    except UNREADABLE as error:
        raise CorpusError(
            problem,
            expected="a Parquet file as upstream publishes it",
            found=_printable(str(error)) or type(error).__name__,
            where=path,
            hint=AS_UPSTREAM,
        ) from error


def _printable(text: str) -> str:
    """`text` as one short line: bytes of a damaged file, and names of any length, may be in it."""
    line = " ".join(text.split())
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
