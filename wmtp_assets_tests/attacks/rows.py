"""What the attacks on rows are built of: shards of code_contests by hand.

Every module here whose name begins with `parquet_` or `text_` is one attack: its first line says
what it tries, and `build(folder)` writes it. `test_row_attacks.py` runs them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wmtp_assets_tests.corpora.conftest import problem, with_malformed_text, write_shard

GROUPS, ROWS_PER_GROUP = 3, 4
SOUND_ROWS = 2 * GROUPS * ROWS_PER_GROUP
"""Rows that come of a shard of `groups`: each problem has a right and a wrong solution."""


@dataclass(frozen=True)
class RowAttack:
    """A hostile shard, and what must become of it.

    Either reading it is refused with a message that holds `refused`; or it is read, and then the
    rows have exactly these `fields` of the first row (where given), or the proof named `caught`
    comes out wrong against the rows that the catalog expects.
    """

    shard: Path
    refused: str | None = None
    caught: str | None = None
    fields: Mapping[str, object] | None = None
    rows: int = SOUND_ROWS


def groups(folder: Path, order: Sequence[int] = range(GROUPS)) -> Path:
    """A shard of row groups, in this order; each of its problems has a name of its own."""
    path = folder / "shard.parquet"
    tables = []
    for group in range(GROUPS):
        rows = [problem(name=f"{group}-{row}") for row in range(ROWS_PER_GROUP)]
        tables.append(pq.read_table(write_shard(path, rows)))
    with pq.ParquetWriter(path, tables[0].schema) as writer:
        for group in order:
            writer.write_table(tables[group])
    return path


def changed(folder: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    """A sound shard after a change of its table."""
    path = groups(folder)
    pq.write_table(change(pq.read_table(path)), path)
    return path


def one_problem(folder: Path, **given: Any) -> Path:
    """A shard of one problem, with one right solution unless told."""
    row = problem(**{"incorrect_solutions": [], "name": "only", **given})
    return write_shard(folder / "shard.parquet", [row])


def malformed(folder: Path, raw: bytes) -> Path:
    """A shard of one problem whose solution holds these bytes, as no writer of text would."""
    mark = "M" * len(raw)
    path = one_problem(folder, solutions=[(3, f"a = '{mark}'")])
    with_malformed_text(path, mark, raw)
    return path
