"""The rows that upstream's shards give, made the plain way: one problem after the other, one
dictionary per row, `json.dumps` for its line.

This is what a split is compared with, so it shares with the build only the rules that are stated
once (by the format, and in `records`) and the token counts. Columns are read by name, whatever
the order or the layout of their fields.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wmtp_assets.corpora import records
from wmtp_assets.corpora.counting import open_counter
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.funnel import count
from wmtp_assets.corpora.parquet_file import AS_UPSTREAM
from wmtp_assets.corpora.parquet_pages import require_bounded_pages

COLUMNS = (
    "problem",
    "is_correct",
    "difficulty",
    "source",
    "language",
    "cf_rating",
    "instruction_tokens",
    "input_tokens",
    "output_tokens",
    "flags",
)
"""The row index's columns that follow from the source; the other two are places in the JSONL."""
_AT_ONCE = 4  # problems that are decoded together: what they take stays in the cache
Raw = dict[str, Any]


@dataclass(frozen=True)
class SourceRow:
    """A row as the source gives it: its line, and its values of `COLUMNS`."""

    line: bytes
    facts: tuple[Any, ...]


@dataclass(frozen=True)
class SourceProblem:
    """A problem of the source with the rows that it gives, and its part of the build's funnel."""

    ordinal: int
    rows: list[SourceRow]
    funnel: Counter[str] = field(default_factory=Counter)


class SourceRows:
    """The source of a split: `shards` in upstream's order, and how rows are made of them."""

    def __init__(
        self,
        dataset_format: DatasetFormat,
        shards: Sequence[Path],
        tokenizer: Path,
        max_tokens: int,
    ) -> None:
        self.format = dataset_format
        self.max_tokens = max_tokens
        self._counter = open_counter(tokenizer)
        self._shards = list(shards)
        self._files = [opened(shard) for shard in shards]
        for path in shards:
            require_bounded_pages(path, dataset_format.columns, AS_UPSTREAM)
        self._task_ids: list[str] | None = None
        self._task_ids_read = False
        #: (shard, row group, ordinal of its first problem, problems) of every row group.
        self.groups: list[tuple[int, int, int, int]] = []
        self.problems = 0
        for shard, file in enumerate(self._files):
            for group in range(file.metadata.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                self.groups.append((shard, group, self.problems, rows))
                self.problems += rows

    def column(self, name: str) -> list[Any]:
        """A column of all problems, texts as bytes."""
        return [
            value
            for file in self._files
            for batch in file.iter_batches(1024, columns=[name], use_threads=False)
            for value in plain_values(batch.column(0))
        ]

    def every(self) -> Iterator[SourceProblem]:
        """All problems, in order."""
        for group in self.groups:
            yield from self.of_group(group)

    def of_group(self, group: tuple[int, int, int, int]) -> Iterator[SourceProblem]:
        """The problems of one of `groups`."""
        return itertools.starmap(self.problem, self._raw(self._files[group[0]], group))

    def drawn(
        self, group: tuple[int, int, int, int], wanted: Collection[int]
    ) -> list[tuple[int, Raw]]:
        """Ordinals and values, for `problem`, of those problems of a group whose ordinals are
        `wanted`. Several threads may call this: nearly all of it is Arrow's decoding."""
        return list(self._raw(opened(self._shards[group[0]]), group, wanted))

    def _raw(
        self,
        file: pq.ParquetFile,
        group: tuple[int, int, int, int],
        wanted: Collection[int] | None = None,
    ) -> Iterator[tuple[int, Raw]]:
        _, number, ordinal, _ = group
        columns = list(self.format.columns)
        for batch in file.iter_batches(
            _AT_ONCE, row_groups=[number], columns=columns, use_threads=False
        ):
            here = range(ordinal, ordinal + batch.num_rows)
            ordinal += batch.num_rows
            taken = [at for at in here if wanted is None or at in wanted]
            if taken:
                rows = batch.take(pa.array([at - here.start for at in taken]))
                values = {name: plain_values(rows[name]) for name in columns}
                for at, each in zip(taken, zip(*values.values(), strict=True), strict=True):
                    yield at, dict(zip(values, each, strict=True))

    def problem(self, ordinal: int, raw: Raw) -> SourceProblem:
        """A problem's rows, from the values of its columns."""
        problem = self.format.plain_problem(raw, self._task_id(ordinal))
        instruction, repaired = records.repaired_text(problem.instruction or b"")
        given, bad = records.repaired_text(problem.input)
        repaired |= bad
        metadata = self.format.metadata_of(problem.difficulty, problem.has_tests, problem.metadata)
        found = SourceProblem(ordinal, [])
        known = [s.text for s in problem.solutions if s.text is not None]
        outputs = list(map(records.repaired_text, known))
        # Counted together: a call for each row would take ten times as long.
        counts = self._counter.count_many([instruction, given, *(text for text, _ in outputs)])
        remaining = zip(outputs, counts[2:], strict=True)
        for solution in problem.solutions:
            is_correct = solution.fields.get("is_correct")
            count(found.funnel, "candidates", is_correct)
            if solution.text is None:
                count(found.funnel, "null_solutions", is_correct)
                continue
            (output, bad), length = next(remaining)
            tokens = [*counts[:2], length]
            if sum(tokens) > self.max_tokens:
                count(found.funnel, "too_long", is_correct)
                continue
            count(found.funnel, "kept", is_correct)
            empty = records.is_blank(output)
            count(found.funnel, "rows_with_empty_output", is_correct, int(empty))
            flags = problem.flags
            flags |= records.REPAIRED if bad or repaired else 0
            flags |= records.EMPTY_OUTPUT if empty else 0
            flags |= records.EMPTY_INSTRUCTION if records.is_blank(instruction) else 0
            texts = {"instruction": instruction, "input": given, "output": output}
            record = {**texts, **solution.fields, "metadata": metadata}
            facts = (
                ordinal,
                is_correct,
                problem.difficulty,
                problem.source,
                solution.language,
                problem.cf_rating,
                *tokens,
                flags,
            )
            found.rows.append(SourceRow(json.dumps(record).encode("ascii") + b"\n", facts))
            for name, flag in (
                ("rows_repaired", records.REPAIRED),
                ("rows_with_empty_instruction", records.EMPTY_INSTRUCTION),
                ("rows_of_shared_names", records.SHARED_NAME),
            ):
                found.funnel[name] += bool(flags & flag)
        if problem.matched is False:
            found.funnel["problems_unmatched"] += 1
        found.funnel.update(
            problems=1,
            problems_repaired=int(repaired),
            problems_of_shared_names=int(bool(problem.flags & records.SHARED_NAME)),
            problems_without_candidates=int(not problem.solutions),
        )
        for of_class, others in problem.others.items():
            count(found.funnel, "other_languages", of_class, others)
        return found

    def _task_id(self, ordinal: int) -> str | None:
        if not self._task_ids_read:
            self._task_ids = self.format.task_ids(self.column)
            self._task_ids_read = True
        return None if self._task_ids is None else self._task_ids[ordinal]


def opened(shard: Path) -> pq.ParquetFile:
    """A shard as pyarrow reads it. Raises CorpusError."""
    try:
        return pq.ParquetFile(shard, buffer_size=1 << 20, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(
            "A shard is not readable parquet",
            found=str(error),
            where=shard,
            hint="Fetch it again.",
        ) from error


def plain_values(column: pa.Array) -> list[Any]:
    """A column as Python values: texts as bytes (they may not be UTF-8), structs as dicts."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return plain_values(column.dictionary_decode())
    if pa.types.is_struct(kind):
        names = [kind.field(at).name for at in range(kind.num_fields)]
        fields = [plain_values(child) for child in column.flatten()]
        rows = [dict(zip(names, each, strict=True)) for each in zip(*fields, strict=True)]
        return [
            row if valid else None
            for row, valid in zip(rows, column.is_valid().to_pylist(), strict=True)
        ]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        flat = iter(plain_values(column.flatten()))
        return [
            None if length is None else [next(flat) for _ in range(length)]
            for length in column.value_lengths().to_pylist()
        ]
    if any(
        is_text(kind)
        for is_text in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    ):
        column = column.cast(pa.large_binary())
    values: list[Any] = column.to_pylist()
    return values
