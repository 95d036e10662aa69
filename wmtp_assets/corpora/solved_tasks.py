"""Formats whose rows are tasks: one row of the source, with one solution, is one row of ours.

A task needs its instruction, its solution and its tests: where one is null or blank the file is
refused, by task and column. Left out, the task would change what a score over the split means.
Tests are also in the row's metadata, where training's readers of every version look for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from wmtp_assets.corpora import records
from wmtp_assets.corpora.dataset_format import DatasetFormat, RowCheck, Rule
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.format_checks import tests_present
from wmtp_assets.corpora.parquet_file import AS_UPSTREAM, Shard
from wmtp_assets.corpora.records import PlainProblem, PlainSolution, Problem, Solutions
from wmtp_assets.corpora.row_index import OPTIONAL, most

_AT_ONCE = 256  # rows decoded together
Raw = Mapping[str, Any]  # a row of the source: text as bytes
Test = bytes | Sequence[bytes | None]


class SolvedTasks(DatasetFormat):
    """A format of tasks without a class, each with its tests where the source has some.

    A subclass states which columns are the task id, the instruction and the solution, the fields of
    its tests, and which of them metadata repeats; both ways of making rows, the build's and the
    plain one, follow.
    """

    instruction: ClassVar[str]
    """The column that becomes the instruction. Never null or blank."""

    solution: ClassVar[str]
    """The column that becomes the output. Never null or blank."""

    id_column: ClassVar[str | None] = "task_id"
    """The column of the task id: a number, or a text that is not empty. No two rows share one. None
    where the source has none: tasks are called `{label}_{i}`, i counting from 0 in its order."""

    checks: ClassVar[Sequence[RowCheck]] = (tests_present,)

    def task_id(self, raw: Raw, id_column: str) -> str | None:
        """The task id of a row of the source; None where it has none, which is refused."""
        value: int | bytes | None = raw[id_column]
        if isinstance(value, int):
            return str(value)
        text, repaired = records.repaired_text(value or b"")
        return None if repaired or records.is_blank(text) else text

    def tests(self, raw: Raw) -> dict[str, Test]:
        """The fields that follow the task id: columns of the same name, text as bytes.

        A null column is an empty text or list. The build refuses a null within a list, and an empty
        or blank value of a field whose rule says minLength or minItems.
        """
        return {name: _column(raw, name, rule) for name, rule in self._fields_of_tests().items()}

    def in_metadata(self, raw: Raw) -> dict[str, Test]:
        """The values of `metadata_fields`, as `tests` gives those of the fields."""
        return {name: _column(raw, name, rule) for name, rule in self.metadata_fields.items()}

    def _fields_of_tests(self) -> dict[str, Rule]:
        return {name: rule for name, rule in self.fields.items() if name != "task_id"}

    def instruction_of(self, raw: Raw) -> bytes:
        """The instruction of a row of the source, which is neither null nor blank there."""
        text: bytes = raw[self.instruction] or b""
        return text

    def columns_used(self) -> set[str]:
        used = {self.instruction, self.solution, *super().columns_used()}
        if self.id_column is not None:
            used.add(self.id_column)
        if type(self).tests is SolvedTasks.tests:
            used |= self._fields_of_tests().keys()
        if type(self).in_metadata is SolvedTasks.in_metadata:
            used |= self.metadata_fields.keys()
        return used

    def problems(self, shards: Sequence[Path]) -> Iterator[Problem]:
        """A problem per row. Raises CorpusError if a shard is not readable parquet with the
        format's columns, for a task id that is null or occurs twice, and a task that lacks a text
        it needs."""
        files = [Shard(path, self.columns) for path in shards]
        seen: dict[str, str] = {}
        ordinal = 0
        for file in files:
            first = ordinal
            for batch in file.batches(list(self.columns), _AT_ONCE):
                columns = [file.read(batch, name) for name in self.columns]
                for values in zip(*columns, strict=True):
                    where = f"{file.path}, row {ordinal - first}"
                    raw = dict(zip(self.columns, values, strict=True))
                    task_id = self._own_task_id(raw, ordinal, seen, where)
                    fields, repaired = _decoded(task_id, self.tests(raw), where)
                    further, bad = _decoded(task_id, self.in_metadata(raw), where)
                    self._require_texts(task_id, raw, fields, further, where)
                    yield Problem(
                        ordinal=ordinal,
                        instruction=self.instruction_of(raw),
                        input=b"",
                        **self._numbers(raw, where),
                        flags=records.REPAIRED if repaired or bad else 0,
                        solutions=(self._solution(task_id, fields, further, raw),),
                    )
                    ordinal += 1

    def task_ids(self, column: Callable[[str], list[Any]]) -> list[str] | None:
        if self.id_column is not None:
            return None
        return [self._numbered(at) for at in range(len(column(self.instruction)))]

    def _numbered(self, ordinal: int) -> str:
        return f"{self.label}_{ordinal}"

    def _own_task_id(self, raw: Raw, ordinal: int, seen: dict[str, str], where: str) -> str:
        if self.id_column is None:
            return self._numbered(ordinal)
        task_id = self.task_id(raw, self.id_column)
        if task_id is None or task_id in seen:
            raise CorpusError(
                f"A row of {self.label} needs a task id of its own",
                expected="a task_id that no other row of the split has",
                found=f"{raw[self.id_column]!r:.100}"
                + (f", as in {seen[task_id]}" if task_id is not None else ""),
                where=where,
                hint=AS_UPSTREAM,
            )
        seen[task_id] = where
        return task_id

    def _require_texts(
        self,
        task_id: str,
        raw: Raw,
        fields: Mapping[str, Any],
        further: Mapping[str, Any],
        where: str,
    ) -> None:
        needed = {name: raw[name] for name in (self.instruction, self.solution)}
        values = {**further, **fields}
        for name, rule in {**self.metadata_fields, **self._fields_of_tests()}.items():
            if rule.get("minLength") or rule.get("minItems"):
                needed[name] = values[name] if raw.get(name, b"") is not None else raw[name]
        for name, value in needed.items():
            if (found := _emptiness(value)) is not None:
                raise CorpusError(
                    f"Task {task_id!r:.100} of {self.label} has no {name}",
                    expected=self._wanted(name, raw),
                    found=found,
                    where=where,
                    hint=f"{AS_UPSTREAM} To go on without the task, take its row out of the file "
                    "in a directory mirror, and the row out of the catalog's count.",
                )

    def _wanted(self, name: str, raw: Raw) -> str:
        wanted = "text that is more than white space"
        if name in raw:
            return wanted
        described = self.metadata_fields.get(name, {}).get("description")
        return f"{wanted}: {described}" if described else wanted

    def _numbers(self, raw: Raw, where: str) -> dict[str, Any]:
        """Difficulty, source and cf_rating, where the format reads them: null is 0."""
        found: dict[str, Any] = {}
        for name in OPTIONAL:
            found[name] = (raw[name] or 0) if name in self.index_columns else None
            if not 0 <= (found[name] or 0) <= most(name):
                raise CorpusError(
                    f"A row's {name} is out of range",
                    expected=f"a number from 0 to {most(name):,}, or null",
                    found=found[name],
                    where=where,
                    hint=AS_UPSTREAM,
                )
        return found

    def _solution(
        self, task_id: str, fields: Mapping[str, Any], further: Mapping[str, Any], raw: Raw
    ) -> Solutions:
        difficulty = (raw["difficulty"] or 0) if "difficulty" in self.index_columns else None
        metadata = self.metadata_of(difficulty, True, further)
        rest = {"task_id": task_id, **fields, "metadata": metadata}
        return Solutions(
            is_correct=None,
            tail_before=f", {json.dumps(rest)[1:]}\n",
            tail_after="",
            suffixes=[""],
            languages=[records.PYTHON3],
            texts=[raw[self.solution]],
        )

    def plain_problem(self, raw: Raw, task_id: str | None) -> PlainProblem:
        tests, further = self.tests(raw), self.in_metadata(raw)
        texts = [
            text
            for value in (*tests.values(), *further.values())
            for text in ([value] if isinstance(value, bytes) else value)
        ]
        if self.id_column is not None:
            task_id = self.task_id(raw, self.id_column)
        fields = {"task_id": task_id, **_as_text(tests)}
        numbers: dict[str, Any] = {name: raw[name] or 0 for name in self.index_columns}
        return PlainProblem(
            instruction=self.instruction_of(raw),
            solutions=[PlainSolution(raw[self.solution], fields)],
            flags=records.REPAIRED if any(map(records.is_malformed, texts)) else 0,
            metadata=_as_text(further),
            **numbers,
        )


def _column(raw: Raw, name: str, rule: Rule) -> Test:
    value: Test | None = raw[name]
    return value or ([] if rule["type"] == "array" else b"")


def _as_text(values: Mapping[str, Test]) -> dict[str, Any]:
    """As `_decoded`, the plain way."""
    return {
        name: records.plain_text(value)
        if isinstance(value, bytes)
        else [records.plain_text(each) for each in value]
        for name, value in values.items()
    }


def _emptiness(value: bytes | str | Sequence[str] | None) -> str | None:
    """In which way `value`, a text or a list of texts, holds nothing; None if it does not."""
    if value is None:
        return "null"
    if isinstance(value, bytes | str):
        text = value if isinstance(value, str) else records.plain_text(value)
        if not records.is_blank(text):
            return None
        return "nothing but white space" if text else "an empty text"
    within = ((_emptiness(each), at) for at, each in enumerate(value))
    found = next((f"{what} at {at}" for what, at in within if what is not None), None)
    return found if value else "an empty list"


def _decoded(task_id: str, tests: Mapping[str, Test], where: str) -> tuple[dict[str, Any], bool]:
    """Tests as text, and whether any had to be repaired."""
    bad = False

    def text(value: bytes) -> str:
        nonlocal bad
        found, repaired = records.repaired_text(value)
        bad |= repaired
        return found

    found: dict[str, Any] = {}
    for name, value in tests.items():
        if isinstance(value, bytes):
            found[name] = text(value)
            continue
        texts = [each for each in value if each is not None]
        if len(texts) < len(value):
            raise CorpusError(
                f"Task {task_id!r:.100} has a test that is null",
                expected=f"text in every element of {name}",
                found=f"null at {list(value).index(None)}",
                where=where,
                hint=AS_UPSTREAM,
            )
        found[name] = [text(each) for each in texts]
    return found, bad
