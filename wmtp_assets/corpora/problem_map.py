"""Rows by problem: which lines are the correct and the incorrect solutions of which problem.

A row's problem is its task id without the ending `_correct_<i>` or `_incorrect_<i>`: the last one
only, for names may hold such words themselves. Problems come in the order of their first lines, and
their difficulty is that of the first line. Rows without a class (of evaluation sets) are of no
problem, whatever their task ids: pairs are what a problem's rows are wanted for.

All of it comes from the row index and one or two lines of each problem.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.row_index import RowIndex

_ENDING: Final = re.compile(r"_(?:in)?correct_[0-9]+\Z")
CLASSES: Final = (("correct", 1), ("incorrect", 0))
ReadAll = Callable[[Iterable[tuple[int, int]]], Iterator[bytes]]
"""Gives the bytes `begin`..`end` of a file for each of some ranges, in their order."""


def problem_of(task_id: str) -> str | None:
    """The problem that a task id names; None where it has no `_correct_<i>` ending."""
    found = _ENDING.search(task_id)
    return task_id[: found.start()] if found else None


def problem_runs(task_ids: Iterable[str], first: int) -> Iterator[tuple[int, str | None]]:
    """Of the task ids of lines from `first` on: from which line on the problem is which."""
    begun = ""
    problem: str | None = None
    for line, task_id in enumerate(task_ids, first):
        # All but the number is that of the line before, for nearly all lines.
        beginning = task_id.rstrip("0123456789")
        if beginning == begun and beginning != task_id and line > first:
            continue
        begun, before, problem = beginning, problem, problem_of(task_id)
        if line == first or problem != before:
            yield line, problem


@dataclass(frozen=True)
class ProblemRows:
    """What the file says of each line, an element per line; the order of `ids` is that of their
    first lines.

    is_correct: int8, 1 or 0; -1: no class. difficulty: int16; -1: none. output_tokens: uint16.
    problem: int32, the place of the line's problem in `ids`; -1: none.
    """

    is_correct: NDArray[np.int8]
    difficulty: NDArray[np.int16]
    output_tokens: NDArray[np.uint16]
    problem: NDArray[np.int32]
    ids: Sequence[str]

    @classmethod
    def of_index(cls, index: RowIndex, jsonl: Path, read_all: ReadAll | None = None) -> ProblemRows:
        """From the row index; of each problem the first and the last line of `jsonl` are read, by
        `read_all` where the lines are elsewhere.

        Raises CorpusError where these are no lines of one problem.
        """
        columns = index.columns(["problem", "is_correct", "difficulty", "output_tokens"])
        ordinals, is_correct = columns.pop("problem"), columns["is_correct"]
        begins = _begins(ordinals)
        ends = np.append(begins[1:], ordinals.size)[: begins.size]
        # What has no class has no problem, and no line of it is read.
        wanted = np.flatnonzero(is_correct[begins] >= 0)
        lasts = ends[wanted] - 1
        names = _Names()
        of_run = np.full(begins.size, -1, np.int32)
        ask = np.stack((begins[wanted], lasts), axis=1)
        found = _task_ids(index, jsonl, ask, read_all or partial(_pread_all, jsonl))
        for run, (first, last) in zip(wanted.tolist(), found, strict=True):
            problem = problem_of(first)
            if problem != problem_of(last):
                raise CorpusError(
                    "Rows of one problem of the row index are of several problems by their task "
                    "ids",
                    expected=f"{problem!r}, as of line {begins[run]}",
                    found=f"{last!r} in line {ends[run] - 1}",
                    where=jsonl,
                    hint="Materialize the split again. Of a format of your own: a row's task id is "
                    "its problem's name and `_correct_<i>` or `_incorrect_<i>`.",
                )
            of_run[run] = names.place(problem)
        problem_of_row = np.repeat(of_run, ends - begins)
        problem_of_row[is_correct < 0] = -1
        return cls(**columns, problem=problem_of_row, ids=names.ids)

    @classmethod
    def of_runs(
        cls,
        is_correct: NDArray[np.int8],
        difficulty: NDArray[np.int16],
        output_tokens: NDArray[np.uint16],
        runs: Iterable[tuple[int, str | None]],
    ) -> ProblemRows:
        """From what was read of all lines; `runs` says from which line on the problem is which, in
        the lines' order."""
        names = _Names()
        begins, places = [], []
        for begin, problem in runs:
            begins.append(begin)
            places.append(names.place(problem))
        bounds = np.array([*begins, is_correct.size], np.int64)
        problem_of_row = np.repeat(np.array(places, np.int32), bounds[1:] - bounds[:-1])
        problem_of_row[is_correct < 0] = -1
        return cls(is_correct, difficulty, output_tokens, problem_of_row, names.ids)

    def __len__(self) -> int:
        return int(self.is_correct.size)

    def grouped(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The lines of problems, one problem after the other, and where in them each begins: those
        of problem k are `lines[begins[k] : begins[k + 1]]`, ascending."""
        lines = np.flatnonzero(self.problem >= 0)
        problems = self.problem[lines]
        if np.any(problems[1:] < problems[:-1]):
            order = np.argsort(problems, kind="stable")
            lines, problems = lines[order], problems[order]
        return lines, np.searchsorted(problems, np.arange(len(self.ids) + 1))


class _Names:
    """Problems by their names, in the order in which they come."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, name: str | None) -> int:
        return -1 if name is None else self._places.setdefault(name, len(self._places))

    @property
    def ids(self) -> list[str]:
        return list(self._places)


def _begins(values: NDArray[Any]) -> NDArray[np.int64]:
    """Where runs of equal values begin."""
    if not values.size:
        return np.empty(0, np.int64)
    return np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))


def _task_ids(
    index: RowIndex, jsonl: Path, lines: NDArray[np.int64], read_all: ReadAll
) -> Iterator[tuple[str, str]]:
    """The task ids of pairs of lines; `lines` has the shape (pairs, 2)."""
    begins = index.column("offset")[lines].ravel()
    ends = begins + index.column("length")[lines].ravel()
    begin_list = begins.tolist()
    texts = read_all(zip(begin_list, ends.tolist(), strict=True))
    found = (_task_id(text, begin, jsonl) for text, begin in zip(texts, begin_list, strict=True))
    for first in found:
        yield first, next(found)


def _pread_all(jsonl: Path, ranges: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    file = os.open(jsonl, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for begin, end in ranges:
            yield os.pread(file, end - begin, begin)
    finally:
        os.close(file)


def _task_id(line: bytes, offset: int, jsonl: Path) -> str:
    try:
        task_id = json.loads(line)["task_id"]
    except (ValueError, KeyError, TypeError):
        task_id = None
    if not isinstance(task_id, str):
        raise CorpusError(
            "The row index does not describe this JSONL file",
            expected=f"a row with a task_id at byte {offset:,}",
            found=f"{line[:60]!r}",
            where=jsonl,
            hint="Materialize the split again.",
        )
    return task_id


def problem_entry(rows: ProblemRows, lines: NDArray[np.int64]) -> dict[str, Any]:
    """One problem of the map, numbers as arrays; `lines` are its lines."""
    difficulty, is_correct = int(rows.difficulty[lines[0]]), rows.is_correct[lines]
    found: dict[str, Any] = {"difficulty": difficulty if difficulty >= 0 else None}
    of_class = {name: lines[is_correct == value] for name, value in CLASSES}
    for name, some in of_class.items():
        found[f"{name}_indices"] = some
    for name, some in of_class.items():
        found[f"{name}_token_lengths"] = rows.output_tokens[some]
    return found


class ProblemIndexMap(Mapping[str, dict[str, Any]]):
    """`problem_index_map` of a split without its file: equal to what `json.load` gives of it, each
    problem built on access.

    `ids` lists the problems in the map's order; `rows(problem_id, is_correct)` gives line numbers
    as an int64 array.
    """

    def __init__(self, rows: ProblemRows) -> None:
        self._rows = rows
        self._lines, self._begins = rows.grouped()
        self._places = {problem: at for at, problem in enumerate(rows.ids)}

    @property
    def ids(self) -> list[str]:
        return list(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __contains__(self, problem_id: object) -> bool:
        return problem_id in self._places

    def __getitem__(self, problem_id: str) -> dict[str, Any]:
        entry = problem_entry(self._rows, self._lines_of(problem_id))
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in entry.items()
        }

    def rows(self, problem_id: str, is_correct: bool | None = None) -> NDArray[np.int64]:
        """The lines of a problem, ascending: of one class, or of both. Raises KeyError."""
        lines = self._lines_of(problem_id)
        return lines if is_correct is None else lines[self._rows.is_correct[lines] == is_correct]

    def _lines_of(self, problem_id: str) -> NDArray[np.int64]:
        at = self._places[problem_id]
        return self._lines[self._begins[at] : self._begins[at + 1]]
