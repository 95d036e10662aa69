"""`{split}_leaks.parquet`: a line per pair of a training row and a row that it holds.

The file's key-value metadata (`corpora/annotations.py`) also says what was looked for, and how many
rows hold what, by dataset, split and kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from wmtp_assets.corpora.annotations import SCHEMAS, write_annotation
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.selection import Rows
from wmtp_assets.quality.leaks.references import Source
from wmtp_assets.quality.leaks.search import Counts, Leak, find_leaks

_SCHEMA: Final = SCHEMAS["leaks"]
_AT_ONCE: Final = 1 << 14  # lines
WITH_EXCERPTS: Final = 100_000  # lines; both excerpts of all of a corpus would fill the memory


def leaks_table(
    corpus: Corpus,
    sources: Sequence[Source],
    log: Callable[[str], None] = lambda _: None,
    rows: Rows | None = None,
) -> tuple[pa.Table, dict[str, Any]]:
    """What is found, in the order of rows, and the facts that the file states beside `about`; of
    some `rows` only, if these are given. Lines after the first hundred thousand have no excerpts.

    Raises CorpusError where a file is damaged.
    """
    counts = Counts()
    return table_of(find_leaks(corpus, sources, counts, log, rows), counts, sources)


def table_of(
    found: Iterable[Leak], counts: Counts, sources: Sequence[Source]
) -> tuple[pa.Table, dict[str, Any]]:
    """As `leaks_table`, of leaks in the order of rows; `counts` are read after the last."""
    lines = _Lines()
    with_leaks = 0
    by: Counter[str] = Counter()
    for _, of_row in groupby(found, lambda leak: leak.row):
        with_leaks += 1
        kinds: set[str] = set()
        for leak in of_row:
            kinds.add(f"{leak.dataset} {leak.split}: {leak.match.how}")
            lines.add(leak)
        by.update(kinds)
    facts = {
        "rows_with_leaks": with_leaks,
        "pairs": lines.count,
        "by": dict(sorted(by.items())),
        "references": {f"{one.dataset} {one.split}": len(one.corpus) for one in sources},
        "not_parsed": len(counts.not_parsed),
    }
    return lines.table(), facts


def write_leaks(
    corpus: Corpus,
    sources: Sequence[Source],
    path: Path,
    log: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Write what `leaks_table` gives; returns the facts."""
    return write_table(corpus, path, leaks_table(corpus, sources, log))


def write_table(
    corpus: Corpus, path: Path, made: tuple[pa.Table, dict[str, Any]]
) -> dict[str, Any]:
    """Write a table with its facts, which are returned."""
    table, facts = made
    columns = {name: table[name] for name in table.column_names}
    write_annotation(path, "leaks", columns, corpus.row_index, {"statistics": facts})
    return facts


class _Lines:
    """Lines that become a table; kept as Arrow has them, which is the smaller form."""

    def __init__(self) -> None:
        self.count = 0
        self._pending: list[tuple[object, ...]] = []
        self._tables: list[pa.Table] = []

    def add(self, leak: Leak) -> None:
        self.count += 1
        self._pending.append(
            _line(leak if self.count <= WITH_EXCERPTS else leak.without_excerpts())
        )
        if len(self._pending) >= _AT_ONCE:
            self._flush()

    def table(self) -> pa.Table:
        self._flush()
        return pa.concat_tables(self._tables) if self._tables else _SCHEMA.empty_table()

    def _flush(self) -> None:
        if self._pending:
            columns = [
                pa.array(values).cast(field.type)
                for field, values in zip(_SCHEMA, zip(*self._pending, strict=True), strict=True)
            ]
            self._tables.append(pa.Table.from_arrays(columns, schema=_SCHEMA))
            self._pending = []


def _line(leak: Leak) -> tuple[object, ...]:
    match = leak.match
    return (
        leak.row,
        leak.dataset,
        leak.split,
        leak.row_there,
        str(match.how),
        leak.field,
        match.score,
        _whole(match.excerpt),
        _whole(match.excerpt_there),
    )


def _whole(text: str) -> str:
    """The text as UTF-8 can hold it: half of a character that JSON spelled alone cannot be."""
    return text.encode(errors="replace").decode()
