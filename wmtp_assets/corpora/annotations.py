"""Annotations: what is found out about a split's rows, as Parquet files apart from the rows.

    {split}_verdicts.parquet    a line per executed row: whether it passed its tests
    {split}_leaks.parquet       a line per pair of a training row and a text of an evaluation set
    {split}_duplicates.parquet  a line per row: the cluster of near-duplicates that it is in

Their columns are in `SCHEMAS`. The file's key-value metadata (`wmtp`, JSON) says under `about`
which rows it is about: dataset, split, how many, and the JSONL's SHA-256 and size. A reader joins
it with no other rows. What else stands there are statistics of the whole, which differ by kind.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.parquet_pages import UNREADABLE
from wmtp_assets.corpora.row_index import RowIndex, as_arrow, as_numpy
from wmtp_assets.storage.atomic import atomic_write
from wmtp_assets.storage.locks import Hold

AnnotationKind = Literal["verdicts", "leaks", "duplicates"]
ANNOTATION_KINDS: Final[tuple[AnnotationKind, ...]] = get_args(AnnotationKind)

VERDICTS: Final = ("passed", "failed", "time", "memory", "not_runnable")
"""What executing a row gives; a row that was not drawn has the verdict ""."""

_WORD = pa.dictionary(pa.int32(), pa.string())
SCHEMAS: Final[Mapping[AnnotationKind, pa.Schema]] = {
    "verdicts": pa.schema(
        [
            ("row", pa.int32()),  # ascending, each once
            ("verdict", _WORD),  # one of VERDICTS
            ("reason", pa.string()),
            ("seconds", pa.float32()),  # CPU, of the slowest test
            ("memory", pa.int64()),  # bytes
            ("tests", pa.int32()),  # that were run
            ("several_answers", pa.bool_()),  # the problem has more than one correct answer
            ("parses", pa.bool_()),  # as Python 3
        ]
    ),
    "leaks": pa.schema(
        [
            ("row", pa.int32()),  # ascending
            ("dataset", _WORD),  # where the text is from
            ("split", _WORD),
            ("row_there", pa.int32()),
            ("how", _WORD),  # verbatim, reformatted, renamed
            ("field", _WORD),
            ("score", pa.float32()),
            ("excerpt", pa.string()),
            ("excerpt_there", pa.string()),
        ]
    ),
    "duplicates": pa.schema([("cluster", pa.int32())]),  # the lowest row of the cluster
}
_DELTA: Final = {"row", "cluster"}  # neighbours are alike
_KEY: Final = b"wmtp"
_ROWS_PER_GROUP = 1 << 18


def about(rows: RowIndex) -> dict[str, Any]:
    """Which rows an annotation is about, by their row index."""
    facts = rows.facts
    return {
        "dataset": facts["dataset"],
        "split": facts["split"],
        "rows": len(rows),
        "jsonl": {key: facts["jsonl"][key] for key in ("bytes", "sha256")},
    }


def write_annotation(
    path: Path,
    kind: AnnotationKind,
    columns: Mapping[str, Sequence[object] | NDArray[Any] | pa.ChunkedArray],
    rows: RowIndex,
    facts: Mapping[str, object] | None = None,
) -> None:
    """Write what was found out about `rows`, as `SCHEMAS` has it, in one step.

    `columns` are all of the kind's, of one length and in the order of rows, without nulls; `facts`
    are JSON-able statistics beside `about`. The same input gives the same bytes. Raises CorpusError
    for columns that are not about these rows, ArrowInvalid for a value that its column can't hold.
    """
    schema = SCHEMAS[kind]
    if columns.keys() != set(schema.names):
        raise CorpusError(
            f"These are not the columns of {kind}",
            expected=", ".join(schema.names),
            found=", ".join(columns),
        )
    table = pa.Table.from_arrays(
        [_arrow(columns[name]).cast(schema.field(name).type) for name in schema.names],
        schema=schema,
    )
    _check_rows(kind, table, len(rows), path)
    stated = {"about": about(rows), **(facts or {})}
    with atomic_write(path) as file:
        writer = pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            use_dictionary=[name for name in schema.names if name not in _DELTA],
            column_encoding={
                name: "DELTA_BINARY_PACKED" for name in schema.names if name in _DELTA
            },
            write_page_checksum=True,
        )
        writer.write_table(table, row_group_size=_ROWS_PER_GROUP)
        text = json.dumps(stated, sort_keys=True, allow_nan=False)
        writer.add_key_value_metadata({_KEY: text})
        writer.close()


def _arrow(values: Sequence[object] | NDArray[Any] | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Not by `pa.array` where they are numpy's: that imports pandas."""
    if isinstance(values, pa.ChunkedArray):
        return values
    if isinstance(values, np.ndarray) and values.dtype != np.object_:
        return as_arrow(values)
    return pa.array(list(values))


def _check_rows(kind: AnnotationKind, table: pa.Table, rows: int, where: Path) -> None:
    """Raises CorpusError where the lines cannot be about so many rows."""
    if any(column.null_count for column in table.columns):
        raise _not_about(where, "no nulls", "a null")
    if kind == "duplicates":
        cluster = as_numpy(table["cluster"])
        if cluster.size != rows:
            raise _not_about(where, f"a line for each of {rows:,} rows", f"{cluster.size:,} lines")
        place = np.arange(rows)
        if rows and not ((cluster >= 0) & (cluster <= place)).all():
            wrong = int(np.flatnonzero((cluster < 0) | (cluster > place))[0])
            there = f"{int(cluster[wrong])} in line {wrong}"
            raise _not_about(where, "the lowest row of each row's cluster", there)
        return
    if "verdict" in table.column_names:
        foreign = set(table["verdict"].unique().to_pylist()) - set(VERDICTS)
        if foreign:
            raise _not_about(where, f"verdicts: {', '.join(VERDICTS)}", f"{min(foreign)!r:.100}")
    row = as_numpy(table["row"])
    least = 1 if kind == "verdicts" else 0
    if row.size and (row[0] < 0 or row[-1] >= rows or (np.diff(row) < least).any()):
        wanted = f"numbers of {rows:,} rows, ascending{', each once' if least else ''}"
        raise _not_about(where, wanted, f"others, from {int(row.min())} to {int(row.max())}")


def _not_about(where: Path, expected: str, found: str) -> CorpusError:
    return CorpusError(
        "This file is not an annotation of these rows",
        expected=expected,
        found=found,
        where=where,
        hint="Materialize it again.",
    )


class AnnotationFile:
    """An annotation on disk: `kind`, `facts` (its key-value metadata, with `about`), and columns,
    which are read when asked for. `hold` keeps it where it is (see `one_edition`).

    Pickled it is its path; reads go by position, so it works after fork. Raises CorpusError where
    the file is not there, or is no such file.
    """

    def __init__(self, path: Path, kind: AnnotationKind, hold: Hold | None = None) -> None:
        self.path = path
        self.kind: AnnotationKind = kind
        self._hold = hold
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
            self._schema = self._file.schema_arrow
        except UNREADABLE as error:
            raise self._unlike("a Parquet file", str(error)) from error
        self.facts = self._stated()

    def __reduce__(
        self,
    ) -> tuple[Callable[..., AnnotationFile], tuple[Path, AnnotationKind, Hold | None]]:
        return _again, (self.path, self.kind, self._hold)

    def __len__(self) -> int:
        """How many lines it has."""
        return int(self._file.metadata.num_rows)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Some columns, or all of them. Raises CorpusError where the file is damaged."""
        names = SCHEMAS[self.kind].names if columns is None else list(columns)
        try:
            # One thread: a forked process has no others.
            table = self._file.read(columns=names, use_threads=False)
            # Arrow takes texts and places in a dictionary as they stand in the file.
            table.validate(full=True)
        except UNREADABLE as error:
            raise self._unlike("a file that is whole", str(error)) from error
        return table

    def require_rows(self, rows: Mapping[str, Any]) -> None:
        """Raises CorpusError where it is not about these rows (as `about` describes them)."""
        stated = self.facts["about"]
        if stated["jsonl"] != rows["jsonl"] or stated["rows"] != rows["rows"]:
            raise CorpusError(
                f"{self.path.name} is about other rows than these",
                expected=_described(rows),
                found=_described(stated),
                where=self.path,
                # Not the annotation alone: it may be about rows that are made and not published.
                hint="Open the corpus anew with open_corpus; if that does not help, `wmtp "
                f"materialize group:{rows['dataset']}` makes rows and {self.kind} of one catalog "
                f"(where {self.kind} are made on request only, by their name after that).",
            )

    def by_row(self, name: str | None = None) -> pa.Table:
        """What says which row a line is about, and one more column.

        Raises CorpusError where these are none of the rows that the file says it is about.
        """
        key = "cluster" if self.kind == "duplicates" else "row"
        table = self.table([key] if name is None else [key, name])
        _check_rows(self.kind, table, int(self.facts["about"]["rows"]), self.path)
        return table

    def _stated(self) -> dict[str, Any]:
        schema, metadata = self._schema, self._file.metadata.metadata or {}
        wanted = SCHEMAS[self.kind]
        if not schema.equals(wanted):
            found = ", ".join(f"{field.name} {field.type}" for field in schema)
            raise self._unlike(", ".join(f"{field.name} {field.type}" for field in wanted), found)
        try:
            facts: dict[str, Any] = json.loads(metadata[_KEY])
            stated = facts["about"]
            _typed(stated["rows"], int)
            _typed(stated["dataset"], str)
            _typed(stated["split"], str)
            _typed(stated["jsonl"]["bytes"], int)
            _typed(stated["jsonl"]["sha256"], str)
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            found = f"{type(error).__name__}: {error}"
            raise self._unlike("key-value metadata `wmtp` with `about`", found) from error
        return facts

    def _unlike(self, expected: str, found: str) -> CorpusError:
        return CorpusError(
            f"This is not a file of {self.kind} of this version",
            expected=expected,
            found=f"{found:.500}",
            where=self.path,
            hint="Materialize it again.",
        )


def _again(path: Path, kind: AnnotationKind, hold: Hold | None) -> AnnotationFile:
    """A file that was pickled. Raises CorpusError where its edition was removed meanwhile."""
    if hold is not None and not path.exists():
        raise CorpusError(
            f"The edition of these {kind} is not here any more",
            found="removed by `wmtp gc` after the corpus was pickled and closed",
            where=path,
            hint="open it anew with open_corpus.",
        )
    return AnnotationFile(path, kind, hold)


def _typed(value: object, wanted: type) -> None:
    if type(value) is not wanted:
        raise TypeError(f"{value!r:.100} is not {wanted.__name__}")


def _described(stated: Mapping[str, Any]) -> str:
    jsonl = stated["jsonl"]
    return f"{stated['rows']:,} rows of {jsonl['bytes']:,} bytes, SHA-256 {jsonl['sha256']}"


class JoinedColumn(NamedTuple):
    """A column of a corpus that comes from an annotation: of which kind, and how it is joined.

    `join` gives an element per row of `rows`, from the file's lines.
    """

    kind: AnnotationKind
    join: Callable[[AnnotationFile, int], NDArray[Any]]


def _clusters(file: AnnotationFile, rows: int) -> NDArray[Any]:
    return as_numpy(file.by_row()["cluster"])


def _leaked(file: AnnotationFile, rows: int) -> NDArray[Any]:
    mask = np.zeros(rows, np.bool_)
    mask[as_numpy(file.by_row()["row"])] = True
    return mask


def _words(name: str) -> Callable[[AnnotationFile, int], NDArray[Any]]:
    """Texts, "" where the row has no line: an array of Python's strings, each text once."""

    def join(file: AnnotationFile, rows: int) -> NDArray[Any]:
        table = file.by_row(name)
        found = np.full(rows, "", dtype=np.object_)
        column = table[name].combine_chunks()
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        if isinstance(column, pa.ChunkedArray):
            column = column.unify_dictionaries().combine_chunks()
        words = np.array([*column.dictionary.to_pylist(), ""], dtype=np.object_)
        found[as_numpy(table["row"])] = words[as_numpy(column.indices)]
        return found

    return join


def _numbers(name: str, absent: float) -> Callable[[AnnotationFile, int], NDArray[Any]]:
    """Numbers, `absent` where the row has no line; truth values as int8."""

    def join(file: AnnotationFile, rows: int) -> NDArray[Any]:
        table = file.by_row(name)
        values = as_numpy(table[name])
        found = np.full(rows, absent, values.dtype)
        found[as_numpy(table["row"])] = values
        return found

    return join


JOINED: Final[Mapping[str, JoinedColumn]] = {
    "verdict": JoinedColumn("verdicts", _words("verdict")),
    "verdict_reason": JoinedColumn("verdicts", _words("reason")),
    "verdict_seconds": JoinedColumn("verdicts", _numbers("seconds", np.nan)),
    "verdict_memory": JoinedColumn("verdicts", _numbers("memory", -1)),
    "verdict_tests": JoinedColumn("verdicts", _numbers("tests", -1)),
    "several_answers": JoinedColumn("verdicts", _numbers("several_answers", -1)),
    "parses": JoinedColumn("verdicts", _numbers("parses", -1)),
    "leaked": JoinedColumn("leaks", _leaked),
    "cluster": JoinedColumn("duplicates", _clusters),
}
"""By the name of the column that `Corpus.column` gives."""
