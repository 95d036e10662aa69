"""The rows that upstream's shards give, made the plain way: one problem after the other, one
dictionary per row, `json.dumps` for its line.

This is what a split is compared with, so it shares with the build only the rules that are stated
once (`records`: names, flags, languages) and the token counts. Columns are read by name, whatever
the order or the layout of their fields.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wmtp_assets.corpora import records
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.tokens import TokenCounter

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
_TAKEN: Mapping[str, tuple[str, ...]] = {
    records.CODECONTESTS: (
        "name",
        "description",
        "public_tests",
        "source",
        "difficulty",
        "solutions",
        "incorrect_solutions",
        "cf_rating",
    ),
    records.MBPP: ("task_id", "text", "code", "test_list", "test_setup_code"),
    records.HUMANEVAL: ("task_id", "prompt", "canonical_solution", "test", "entry_point"),
}
_AT_ONCE = 16  # problems that are Python objects together
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
        self, dataset: str, shards: Sequence[Path], tokenizer: Path, max_tokens: int
    ) -> None:
        self.dataset = dataset
        self.max_tokens = max_tokens
        self._counter = TokenCounter(tokenizer)
        self._files = [_opened(shard) for shard in shards]
        self._tasks: list[str] | None = None
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
            for value in _values(batch.column(0))
        ]

    def every(self) -> Iterator[SourceProblem]:
        """All problems, in order."""
        for group in self.groups:
            yield from self.of_group(group)

    def of_group(
        self, group: tuple[int, int, int, int], wanted: Collection[int] | None = None
    ) -> Iterator[SourceProblem]:
        """The problems of one of `groups`, or those whose ordinals are `wanted`."""
        shard, number, ordinal, _ = group
        columns = list(_TAKEN[self.dataset])
        for batch in self._files[shard].iter_batches(
            _AT_ONCE, row_groups=[number], columns=columns, use_threads=False
        ):
            here = range(ordinal, ordinal + batch.num_rows)
            ordinal += batch.num_rows
            taken = [at for at in here if wanted is None or at in wanted]
            if taken:
                rows = batch.take(pa.array([at - here.start for at in taken]))
                values = {name: _values(rows[name]) for name in columns}
                for at, each in zip(taken, zip(*values.values(), strict=True), strict=True):
                    yield self._problem(at, dict(zip(values, each, strict=True)))

    def _problem(self, ordinal: int, raw: Raw) -> SourceProblem:
        if self.dataset == records.CODECONTESTS:
            return self._codecontests(ordinal, raw)
        return self._evaluation(ordinal, raw)

    def _codecontests(self, ordinal: int, raw: Raw) -> SourceProblem:
        name, (instruction, repaired) = _text(raw["name"]), _repaired(raw["description"])
        tests = _pairs(raw["public_tests"], "input", "output")
        shown = b"\n\n".join(
            b"Input: " + given + b"\nOutput: " + wanted
            for given, wanted in tests[:2]
            if given and wanted
        )
        given, bad = _repaired(shown)
        task = self._task(ordinal)
        shared = {
            "instruction": instruction,
            "input": given,
            "repaired": repaired or bad,
            "difficulty": raw["difficulty"] or 0,
            "source": raw["source"] or 0,
            "cf_rating": raw["cf_rating"] or 0,
            "flags": records.SHARED_NAME if task != name else 0,
        }
        has_tests = bool(tests)
        found = SourceProblem(ordinal, [])
        for column, kind in (("solutions", "correct"), ("incorrect_solutions", "incorrect")):
            pairs = _pairs(raw[column], "language", "solution")
            for at, (language, text) in enumerate(pairs):
                if language in records.PYTHON_LANGUAGES:
                    rest = {
                        "task_id": f"{task}_{kind}_{at}",
                        "is_correct": kind == "correct",
                        "metadata": {
                            "source": "code_contests",
                            "difficulty": shared["difficulty"],
                            "has_tests": has_tests,
                        },
                    }
                    self._add(found, shared, rest, language, text)
        return self._counted(found, shared)

    def _evaluation(self, ordinal: int, raw: Raw) -> SourceProblem:
        mbpp = self.dataset == records.MBPP
        instruction, repaired = _repaired(raw["text" if mbpp else "prompt"])
        shared = {"instruction": instruction, "input": "", "repaired": repaired, "flags": 0}
        tests = [raw["test_setup_code"], *(raw["test_list"] or [])] if mbpp else []
        tests += [] if mbpp else [raw["test"], raw["entry_point"]]
        if any(_repaired(test)[1] for test in tests):
            shared["flags"] = records.REPAIRED
        if mbpp:
            rest: dict[str, Any] = {
                "task_id": str(raw["task_id"]),
                "test_list": [_text(test) for test in raw["test_list"] or []],
                "test_setup_code": _text(raw["test_setup_code"]),
            }
        else:
            rest = {name: _text(raw[name]) for name in ("task_id", "test", "entry_point")}
        rest["metadata"] = {"source": self.dataset, "difficulty": None, "has_tests": True}
        found = SourceProblem(ordinal, [])
        text = raw["code" if mbpp else "canonical_solution"]
        self._add(found, shared, rest, records.PYTHON3, text)
        return self._counted(found, shared)

    def _add(
        self,
        found: SourceProblem,
        shared: Mapping[str, Any],
        rest: Mapping[str, Any],
        language: int,
        raw: bytes | None,
    ) -> None:
        """A candidate: a row, unless its text is null or it has too many tokens."""
        found.funnel["candidates"] += 1
        if raw is None:
            found.funnel["null_solutions"] += 1
            return
        output, bad = _repaired(raw)
        record = {"instruction": shared["instruction"], "input": shared["input"], "output": output}
        tokens = self._counter.count_many(list(record.values()))
        if sum(tokens) > self.max_tokens:
            found.funnel["too_long"] += 1
            return
        flags = shared["flags"]
        flags |= records.REPAIRED if bad or shared["repaired"] else 0
        flags |= records.EMPTY_OUTPUT if not raw else 0
        found.rows.append(
            SourceRow(
                json.dumps({**record, **rest}).encode("ascii") + b"\n",
                (
                    found.ordinal,
                    rest.get("is_correct"),
                    shared.get("difficulty"),
                    shared.get("source"),
                    language,
                    shared.get("cf_rating"),
                    *tokens,
                    flags,
                ),
            )
        )
        for name, flag in (
            ("rows_repaired", records.REPAIRED),
            ("rows_with_empty_output", records.EMPTY_OUTPUT),
            ("rows_of_shared_names", records.SHARED_NAME),
        ):
            found.funnel[name] += bool(flags & flag)

    def _counted(self, found: SourceProblem, shared: Mapping[str, Any]) -> SourceProblem:
        found.funnel.update(
            problems=1,
            problems_repaired=int(shared["repaired"]),
            problems_of_shared_names=int(bool(shared["flags"] & records.SHARED_NAME)),
            problems_without_candidates=int(not found.funnel["candidates"]),
            kept=len(found.rows),
        )
        return found

    def _task(self, ordinal: int) -> str:
        if self._tasks is None:
            names = [_text(name) for name in self.column("name")]
            self._tasks = records.unique_names(names, [at or 0 for at in self.column("source")])
        return self._tasks[ordinal]


def _opened(shard: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(shard, buffer_size=1 << 20, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(
            "A shard is not readable parquet",
            found=str(error),
            where=shard,
            hint="Fetch it again.",
        ) from error


def _values(column: pa.Array) -> list[Any]:
    """A column as Python values: texts as bytes (they may not be UTF-8), structs as dicts."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _values(column.dictionary_decode())
    if pa.types.is_struct(kind):
        names = [kind.field(at).name for at in range(kind.num_fields)]
        fields = [_values(child) for child in column.flatten()]
        rows = [dict(zip(names, each, strict=True)) for each in zip(*fields, strict=True)]
        return [
            row if valid else None
            for row, valid in zip(rows, column.is_valid().to_pylist(), strict=True)
        ]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        flat = iter(_values(column.flatten()))
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


def _pairs(value: Any, first: str, second: str) -> list[tuple[Any, Any]]:
    """Pairs of two fields, from a struct of lists or a list of structs. A missing partner of the
    shorter list is None."""
    if value is None:
        return []
    if isinstance(value, dict):
        one, other = value[first] or [], value[second] or []
        length = max(len(one), len(other))
        one, other = ([*each, *[None] * (length - len(each))] for each in (one, other))
        return list(zip(one, other, strict=True))
    return [(each[first], each[second]) for each in value if each is not None]


def _repaired(raw: bytes | None) -> tuple[str, bool]:
    return records.repaired_text(raw or b"")


def _text(raw: bytes | None) -> str:
    return _repaired(raw)[0]
