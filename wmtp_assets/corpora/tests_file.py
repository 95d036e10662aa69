"""`{split}_tests.parquet`: a problem's tests, read without those of all the others.

One row per problem, in upstream's order: its name, and a struct of two parallel lists for each sort
of tests, as upstream has them.

    name               string
    public_tests, ...  struct<input: list<string>, output: list<string>>

Row groups hold some megabytes of tests each, so that reading one problem reads little, and the
footer stays small. Its key-value metadata (`wmtp`, JSON) says which JSON file holds the same tests
(SHA-256 and size), counts, and names all problems in order: finding one reads the footer alone.

    tests = wmtp_assets.open_tests("storage", "codecontests", "train")
    tests["1553_A. Digits Sum"]["public_tests"]["input"]
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import IOBase
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from wmtp_assets.corpora.editions import one_edition
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.evaluation import SIDES, ProblemTests
from wmtp_assets.corpora.parquet_pages import UNREADABLE
from wmtp_assets.storage.locks import Hold

_KEY: Final = b"wmtp"
_KEYS: Final = {_KEY, b"ARROW:schema"}  # Arrow's own record of the schema
_GROUP_BYTES = 2 << 20  # of tests: what is read for one problem, before compression
_SIDES = pa.struct([pa.field(side, pa.list_(pa.string())) for side in SIDES])
_AGAIN: Final = "Materialize the split's tests again."


class TestsWriter:
    """Writes the Parquet file to `file`, for problems with these sorts of tests."""

    __test__ = False  # its name does not make it a test

    def __init__(self, file: IOBase, sorts: Sequence[str]) -> None:
        self._schema = pa.schema([("name", pa.string()), *((sort, _SIDES) for sort in sorts)])
        self._writer = pq.ParquetWriter(
            file,
            self._schema,
            compression="zstd",
            compression_level=1,  # the next levels take twice the time and save a twentieth
            use_dictionary=False,
            write_statistics=False,  # of tests: bytes in every footer, and no use
            write_page_checksum=True,
        )
        self._names: list[str] = []
        self._pending: list[pa.RecordBatch] = []
        self._bytes = 0

    def add(self, problem: ProblemTests) -> None:
        """Append a problem."""
        columns = [
            pa.StructArray.from_arrays(
                [_one_list(problem.tests[sort][side]) for side in SIDES], fields=list(_SIDES)
            )
            for sort in self._schema.names[1:]
        ]
        row = pa.RecordBatch.from_arrays([pa.array([problem.name]), *columns], schema=self._schema)
        size = row.nbytes
        if self._pending and self._bytes + size > _GROUP_BYTES:
            self._flush()
        self._names.append(problem.name)
        self._pending.append(row)
        self._bytes += size

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._pending, self._schema)
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._pending, self._bytes = [], 0

    def close(self, facts: Mapping[str, object]) -> None:
        """Write what is left, and the footer with `facts` and the problems' names."""
        if self._pending:
            self._flush()
        text = json.dumps({**facts, "names": self._names}, ensure_ascii=False)
        self._writer.add_key_value_metadata({_KEY: text})
        self._writer.close()


def _one_list(texts: pa.StringArray) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)


Sides = dict[str, list[str]]
"""`input` and `output` of all tests of a sort, in parallel."""


def open_tests(storage: str | Path, dataset: str, split: str) -> ProblemTestsFile:
    """The tests of every problem of a split, by its name; reads those that are asked for.

    Raises CorpusError when they are not there, or the file is another one; BucketError for a URL.
    """
    if ":/" in str(storage):
        from wmtp_assets.bucket import require_path

        hint = "`wmtp pull URL` makes a storage of it on this machine: give the path of that."
        require_path(storage, hint)
    path = Path("datasets", dataset, "tests", f"{split}_tests.parquet")
    return ProblemTestsFile(*one_edition(Path(storage), path))


class UnknownProblemError(CorpusError, KeyError):
    """No problem of the split has this name. A KeyError, as of any mapping."""

    __str__ = CorpusError.__str__  # KeyError would quote it


class ProblemTestsFile(Mapping[str, dict[str, Any]]):
    """A tests file on disk as a mapping: names of problems, in upstream's order, to what the JSON
    file has of each: `task_name`, and `Sides` for each of `sorts`.

    Opening reads the footer, a problem its row group; the last one stays in memory, so that reading
    in order reads each once. Reads go by position, so it works after fork; pickled it is its path.
    `facts` are those of the file, `names` aside. `hold` keeps it where it is (see `one_edition`).
    """

    def __init__(self, path: Path, hold: Hold | None = None) -> None:
        self.path = path
        self._hold = hold
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
        except FileNotFoundError as error:
            raise CorpusError(
                "There is no file of tests",
                where=path,
                hint="Materialize the split's tests; a catalog that serves the contract `current` "
                "has them, of datasets whose source has tests.",
            ) from error
        except UNREADABLE as error:
            raise self._unlike("a Parquet file", str(error)) from error
        self.facts, names = self._stated()
        self.sorts: Sequence[str] = self._file.schema_arrow.names[1:]
        self._rows = {name: row for row, name in enumerate(names)}
        metadata = self._file.metadata
        if not len(names) == len(self._rows) == metadata.num_rows:
            stated = f"{len(self._rows):,} names of {len(names):,}"
            raise self._unlike(f"{metadata.num_rows:,} unique names, one per row", stated)
        groups = range(metadata.num_row_groups)
        self._ends = list(accumulate(metadata.row_group(at).num_rows for at in groups))
        self._last: tuple[int, pa.Table] | None = None

    def _stated(self) -> tuple[dict[str, Any], list[str]]:
        """What the footer states, and the problems' names."""
        schema, metadata = self._file.schema_arrow, self._file.metadata.metadata or {}
        wanted = pa.schema([("name", pa.string()), *((sort, _SIDES) for sort in schema.names[1:])])
        if not schema.equals(wanted):
            raise self._unlike("a name, and two lists of text for each sort of tests", str(schema))
        if metadata.keys() != _KEYS:
            raise self._unlike("a JSON object under `wmtp`", f"{sorted(metadata)}")
        try:
            facts = json.loads(metadata[_KEY])
            names = facts.pop("names")
        except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
            found = f"{type(error).__name__}: {error}"
            raise self._unlike("a JSON object with names", found) from error
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self._unlike("names that are text", f"{names!r:.100}")
        return facts, names

    def _unlike(self, expected: str, found: str) -> CorpusError:
        return CorpusError(
            "This is not a file of tests of this version",
            expected=expected,
            found=f"{found:.500}",
            where=self.path,
            hint=_AGAIN,
        )

    def __reduce__(self) -> tuple[Callable[..., ProblemTestsFile], tuple[Path, Hold | None]]:
        return ProblemTestsFile, (self.path, self._hold)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The tests of one problem. Raises UnknownProblemError, which is a KeyError."""
        row = self._rows.get(name)
        if row is None:
            raise UnknownProblemError(
                "There is no problem of this name",
                expected=f"one of {len(self):,}",
                found=f"{name!r:.200}",
                where=self.path,
                hint="list(tests) names them; a row's is its task_id without `_correct_<i>` or "
                "`_incorrect_<i>`.",
            )
        group = bisect_right(self._ends, row)
        first = self._ends[group - 1] if group else 0
        table = self._group(group).slice(row - first, 1)
        return {
            "task_name": name,
            **{sort: table[sort][0].as_py() for sort in self.sorts},
        }

    def column_of_names(self) -> list[str]:
        """The column `name`, which other readers of Parquet find problems by."""
        names: list[str] = self._file.read(["name"], use_threads=False)["name"].to_pylist()
        return names

    def _group(self, number: int) -> pa.Table:
        last = self._last
        if last is None or last[0] != number:
            try:
                # One thread: few bytes, and a forked process has no others.
                table = self._file.read_row_group(number, list(self.sorts), use_threads=False)
            except UNREADABLE as error:
                raise self._unlike("a file that is whole", str(error)) from error
            self._last = last = number, table
        return last[1]
