"""The row index: what is known of each line of a JSONL file, as a Parquet file beside it.

One row per line, in the lines' order. Columns:

    problem             int32   ordinal of the problem in upstream's split
    is_correct          bool    null where rows have no class
    difficulty          int16   upstream's raw integer; null where there is none
    source              int16   upstream's raw integer; null where there is none
    language            int8    upstream's: 1 PYTHON (2.x), 3 PYTHON3
    cf_rating           int32   upstream's; 0: unknown; null where there is none
    instruction_tokens, input_tokens, output_tokens    uint16
    offset              int64   of the line's first byte
    length              int32   bytes of the line, its newline included
    flags               uint8   bits: 1 repaired text, 2 empty output, 4 shared name, 8 empty
                                instruction (see `records`)

The file's key-value metadata (`wmtp`, JSON) says what it is the index of: digests and sizes of the
JSONL and of the metadata file that follows from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.parquet_pages import UNREADABLE

SCHEMA = pa.schema(
    [
        ("problem", pa.int32()),
        ("is_correct", pa.bool_()),
        ("difficulty", pa.int16()),
        ("source", pa.int16()),
        ("language", pa.int8()),
        ("cf_rating", pa.int32()),
        ("instruction_tokens", pa.uint16()),
        ("input_tokens", pa.uint16()),
        ("output_tokens", pa.uint16()),
        ("offset", pa.int64()),
        ("length", pa.int32()),
        ("flags", pa.uint8()),
    ]
)
_KEY = b"wmtp"
_KEYS = {_KEY, b"ARROW:schema"}  # Arrow's own record of the schema
OPTIONAL = ("difficulty", "source", "cf_rating")  # upstream's numbers; null where it has none
# Neighbours are alike: problems and offsets only grow, so their differences are a byte or two.
_DELTA = ("problem", "offset", "length", "output_tokens")
ROWS_PER_GROUP = 1 << 18
_ROWS_AT_ONCE = 1 << 14  # decoded, where few are wanted


class IndexWriter:
    """Writes the row index in row groups; `close` adds what it is the index of."""

    def __init__(self, file: BinaryIO) -> None:
        self._writer = pq.ParquetWriter(
            file,
            SCHEMA,
            compression="zstd",
            use_dictionary=[name for name in SCHEMA.names if name not in _DELTA],
            column_encoding=dict.fromkeys(_DELTA, "DELTA_BINARY_PACKED"),
        )

    def write(self, columns: Mapping[str, NDArray[Any]], rows: int) -> pa.Table:
        """Append rows, arrays by column name; returns the table.

        A column left out is null, as is a negative difficulty, source or cf_rating.

        Raises ArrowInvalid for a value that its column cannot hold.
        """
        arrays = [
            _with_nulls(name, as_arrow(columns[name])).cast(SCHEMA.field(name).type)
            if name in columns
            else pa.nulls(rows, SCHEMA.field(name).type)
            for name in SCHEMA.names
        ]
        table = pa.Table.from_arrays(arrays, schema=SCHEMA)
        self._writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        return table

    def close(self, facts: Mapping[str, object]) -> None:
        self._writer.add_key_value_metadata({_KEY: _facts_text(facts)})
        self._writer.close()


def _facts_text(facts: Mapping[str, object]) -> str:
    return json.dumps(dict(facts), sort_keys=True)


def _no_fraction(text: str) -> float:
    raise ValueError(f"{text} where there are whole numbers only")


class RowIndex:
    """A row index on disk; columns are read when asked for, and only those."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False)
        except FileNotFoundError as error:
            lost = path.is_symlink()
            raise CorpusError(
                "There is no row index",
                found="a broken link" if lost else None,
                where=path,
                hint=f"Copy what it leads to: `wmtp doctor {path.parent}` prints the commands."
                if lost
                else "Materialize the split.",
            ) from error
        except UNREADABLE as error:
            raise CorpusError(
                "The row index is not readable",
                found=str(error),
                where=path,
                hint="Materialize the split again.",
            ) from error
        self.facts: dict[str, Any] = self._facts()

    def _facts(self) -> dict[str, Any]:
        """What the file says that it is the index of. Raises CorpusError where it is no index."""
        schema, metadata = self._file.schema_arrow, self._file.metadata.metadata or {}
        if schema.names != SCHEMA.names:
            what, wanted, found = "columns", ", ".join(SCHEMA.names), ", ".join(schema.names)
        elif others := [name for name in SCHEMA.names if schema.field(name) != SCHEMA.field(name)]:
            what = "types"
            wanted, found = (_described(one, others) for one in (SCHEMA, schema))
        elif metadata.keys() != _KEYS:
            what = "key-value metadata"
            wanted, found = (
                ", ".join(sorted(key.decode(errors="replace") for key in keys)) or "none"
                for keys in (_KEYS, metadata.keys())
            )
        else:
            what, wanted = "key-value metadata", "a JSON object under `wmtp`, as it is written"
            try:
                facts = json.loads(metadata[_KEY], parse_float=_no_fraction)
            except (ValueError, RecursionError) as error:
                facts, found = None, f"{type(error).__name__}: {error}"
            else:
                found = f"{facts!r:.100}"
            if isinstance(facts, dict):
                if _facts_text(facts).encode() == metadata[_KEY]:
                    return facts
                found = f"other text, such as spaces: {metadata[_KEY]!r:.100}"
        raise CorpusError(
            f"This Parquet file is not a row index of this version, by its {what}",
            expected=wanted,
            found=found,
            where=self.path,
            hint="Materialize the split again.",
        )

    @property
    def names(self) -> list[str]:
        return list(SCHEMA.names)

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def column(self, name: str) -> NDArray[Any]:
        """One column as a numpy array (nulls as -1, booleans as int8)."""
        return self.columns([name])[name]

    def columns(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Columns by name, as `column` returns each, all of them decoded in one pass."""
        found: dict[str, NDArray[Any]] = {}
        begin = 0
        # In pieces, so that what Arrow needs beside the arrays is small.
        for batch in self.batches(names, ROWS_PER_GROUP):
            for name in names:
                values = as_numpy(batch.column(name))
                if name not in found:
                    found[name] = np.empty(len(self), dtype=values.dtype)
                found[name][begin : begin + values.size] = values
            begin += batch.num_rows
        return found or {name: as_numpy(self.table([name]).column(0)) for name in names}

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        return self._file.read(columns=None if columns is None else list(columns))

    def ends(self) -> list[tuple[int, int, int, bool | None]]:
        """(row, offset, length, is_correct) of the first and the last row; of no rows, none."""
        found: list[tuple[int, int, int, bool | None]] = []
        every = range(self._file.metadata.num_row_groups)
        groups = [at for at in every if self._file.metadata.row_group(at).num_rows]
        for group, row in ((groups[0], 0), (groups[-1], -1)) if groups else ():
            table = self._file.read_row_group(group, ["offset", "length", "is_correct"])
            offset, length, is_correct = (table[name][row].as_py() for name in table.column_names)
            found.append((row % len(self), offset, length, is_correct))
        return found

    def rows(self, begin: int, end: int, columns: Sequence[str]) -> pa.Table:
        """The rows `begin`..`end` of some columns. Reads the row groups that hold them."""
        found = []
        first = 0
        for group in range(self._file.metadata.num_row_groups):
            count = self._file.metadata.row_group(group).num_rows
            low, high = max(begin - first, 0), min(end - first, count)
            if low < high:
                found.append(self._file.read_row_group(group, list(columns)).slice(low, high - low))
            first += count
        return pa.concat_tables(found) if found else SCHEMA.empty_table().select(columns)

    def take(self, rows: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Some columns of the rows at these numbers, in the order given. Decodes the row groups
        that hold them, each up to the last row that is wanted of it."""
        found: list[pa.Table] = []
        places: dict[int, int] = {}
        first = at = 0
        for group in range(self._file.metadata.num_row_groups):
            count = self._file.metadata.row_group(group).num_rows
            inside = sorted({row for row in rows if first <= row < first + count})
            if inside:
                table = self._beginning(group, inside[-1] - first + 1, columns)
                found.append(table.take(as_arrow(np.array(inside) - first)))
                places |= {row: at + place for place, row in enumerate(inside)}
                at += len(inside)
            first += count
        if not found:
            return SCHEMA.empty_table().select(columns)
        return pa.concat_tables(found).take(as_arrow(np.array([places[row] for row in rows])))

    def _beginning(self, group: int, count: int, columns: Sequence[str]) -> pa.Table:
        """At least the first `count` rows of a row group."""
        found: list[pa.RecordBatch] = []
        for batch in self._file.iter_batches(
            _ROWS_AT_ONCE, row_groups=[group], columns=list(columns), use_threads=False
        ):
            found.append(batch)
            count -= batch.num_rows
            if count <= 0:
                break
        return pa.Table.from_batches(found)

    def batches(self, columns: Sequence[str], size: int = 1 << 16) -> Iterator[pa.RecordBatch]:
        yield from self._file.iter_batches(
            batch_size=size, columns=list(columns), use_threads=False
        )


def _described(schema: pa.Schema, names: Sequence[str]) -> str:
    """The types of some of a schema's columns."""
    nullable = {True: "", False: " not null"}
    fields = [schema.field(name) for name in names]
    return ", ".join(f"{one.name} {one.type}{nullable[one.nullable]}" for one in fields)


def most(name: str) -> int:
    """The largest number that a column of signed integers holds."""
    return (1 << (int(SCHEMA.field(name).type.bit_width) - 1)) - 1


def _with_nulls(name: str, values: pa.Array) -> pa.Array:
    if name not in OPTIONAL:
        return values
    missing = pc.less(values, 0)
    return pc.if_else(missing, None, values) if pc.any(missing).as_py() else values


def as_arrow(values: NDArray[Any]) -> pa.Array:
    """Numbers or booleans from numpy as an Arrow array of the same type.

    Not by `pa.array`: that imports pandas, a third of a second and 40 MB.
    """
    if values.dtype == np.bool_:
        return as_arrow(values.astype(np.int8)).cast(pa.bool_())
    buffer = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(pa.type_for_alias(values.dtype.name), values.size, [None, buffer])


def as_numpy(column: pa.ChunkedArray | pa.Array) -> NDArray[Any]:
    """A column of numbers as numpy, nulls as -1, booleans as int8.

    Not by Arrow's own `to_numpy`, which imports pandas as well.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()  # an array, in today's Arrow, even of no chunks
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    # Arrow's `float` has 32 bits, numpy's 64.
    dtype = np.dtype("float32" if pa.types.is_float32(column.type) else str(column.type))
    if not len(column):
        return np.empty(0, dtype)
    begin = column.offset * dtype.itemsize
    values = np.frombuffer(column.buffers()[1], dtype, len(column), begin)
    if column.null_count:
        return np.where(as_numpy(column.is_valid()) != 0, values, np.array(-1, dtype))
    return values
