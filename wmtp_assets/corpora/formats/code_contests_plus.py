"""ByteDance-Seed/Code-Contests-Plus: code_contests' problems with better tests, and its solutions.

Columns and values as on https://huggingface.co/datasets/ByteDance-Seed/Code-Contests-Plus, and as
https://arxiv.org/abs/2506.05817 describes them: `source` is the site's name, `id` what it calls the
problem (`1575_A`), `correct_submissions` and `incorrect_submissions` are lists of {code, language},
language py2, py3, cpp, java and others. Test cases, in the files `ccplus_1x/` to `ccplus_5x/`, are
gigabytes and are not read.

There is no difficulty. It is that of the same problem in code_contests, and 0, its "unknown", of a
problem that is not there; the statistics count those (`funnel.problems_unmatched`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from wmtp_assets.corpora import records
from wmtp_assets.corpora.classed_solutions import solutions_of
from wmtp_assets.corpora.columns import Kind, Parallel, Text
from wmtp_assets.corpora.dataset_format import DatasetFormat, Rule
from wmtp_assets.corpora.format_checks import difficulty_in_training_range
from wmtp_assets.corpora.formats.code_contests import CodeContests
from wmtp_assets.corpora.grades import UNKNOWN, Grade, Grades
from wmtp_assets.corpora.parquet_file import Shard, decoding
from wmtp_assets.corpora.records import PlainProblem, PlainSolution, Problem
from wmtp_assets.corpora.row_index import as_arrow

# By upstream's words, as code_contests numbers them.
_PYTHON: Final[Mapping[bytes, int]] = {b"py2": 1, b"py3": records.PYTHON3}
_SOURCES: Final = {name.lower(): number for number, name in CodeContests.source_names.items()}
_SUBMISSIONS = Parallel({"language": Text(), "code": Text()})
_CLASSES = (("correct_submissions", True), ("incorrect_submissions", False))
_KEY = ("source", "id", "title")  # what a problem is found by
_KEYS_AT_ONCE = 4096
_PROBLEMS_AT_A_TIME = 4  # as of code_contests


class CodeContestsPlus(DatasetFormat):
    """Instruction: the description, which holds the examples. Input: empty. Output: one solution.

    `shards` are those of code_contests, all of its splits'; without them no problem is matched.
    """

    name = "code-contests-plus"
    label = "codecontests-plus"
    citation = (
        "Z. Wang et al., CodeContests+: High-Quality Test Case Generation for Competitive "
        "Programming, 2025, https://arxiv.org/abs/2506.05817"
    )
    source = "code_contests_plus"
    columns: ClassVar[Mapping[str, Kind]] = {
        "source": Text(),
        "id": Text(),
        "title": Text(),
        "description": Text(),
        "checker": Text(),
        **dict.fromkeys((name for name, _ in _CLASSES), _SUBMISSIONS),
    }
    fields: ClassVar[Mapping[str, Rule]] = CodeContests.fields
    difficulties_of = (CodeContests.name,)
    difficulties = CodeContests.difficulties
    difficulty_names = CodeContests.difficulty_names
    source_names = CodeContests.source_names
    scales = CodeContests.scales
    checks = (difficulty_in_training_range,)
    growth = CodeContests.growth
    row_bytes = CodeContests.row_bytes
    version = CodeContests.version

    def __init__(self, shards: Sequence[Path] = ()) -> None:
        self._shards = tuple(shards)

    def with_difficulties(self, shards: Sequence[Path]) -> DatasetFormat:
        return CodeContestsPlus(shards)

    @cached_property
    def _grades(self) -> Grades:
        return Grades(self._shards)

    def _grade(self, source: int, problem_id: str, title: str) -> Grade | None:
        return self._grades.of(source, (_name(problem_id, title), problem_id))

    def problems(self, shards: Sequence[Path]) -> Iterator[Problem]:
        """Problems with their Python solutions.

        Raises CorpusError if a shard is not readable parquet with these columns, of this dataset or
        of the one that gives difficulties.
        """
        files = [Shard(path, self.columns) for path in shards]
        # Read beforehand: whether a name is that of one problem only is seen over all shards.
        keys: list[tuple[int, str, str]] = []
        for file in files:
            for batch in file.batches(list(_KEY), _KEYS_AT_ONCE):
                keys += _keys(*(file.read(batch, name) for name in _KEY))
        tasks = self._tasks(keys)
        ordinal = 0
        for file in files:
            first = ordinal
            for batch in file.batches(list(self.columns), _PROBLEMS_AT_A_TIME):
                for problem in self._of_batch(file, batch, ordinal, first, tasks):
                    yield problem
                    ordinal += 1

    def _of_batch(
        self, file: Shard, batch: pa.RecordBatch, ordinal: int, first: int, tasks: Sequence[str]
    ) -> Iterator[Problem]:
        keys = _keys(*(file.read(batch, name) for name in _KEY))

        def row_of(row: int) -> str:
            name = _name(*keys[row][1:])
            return f"problem {name!r:.100}, row {ordinal - first + row} of {file.path}"

        descriptions, checkers = (file.read(batch, name) for name in ("description", "checker"))
        found = [list(_python(file, batch, name, row_of)) for name, _ in _CLASSES]
        for row, (source, problem_id, title) in enumerate(keys):
            task = tasks[ordinal + row]
            grade = self._grade(source, problem_id, title)
            difficulty, rating = grade or UNKNOWN
            tested = not records.is_blank(records.plain_text(checkers[row]))
            yield Problem(
                ordinal=ordinal + row,
                instruction=descriptions[row] or b"",
                input=b"",
                difficulty=difficulty,
                source=source,
                cf_rating=rating,
                flags=records.SHARED_NAME if task != _name(problem_id, title) else 0,
                solutions=tuple(
                    solutions_of(self, task, is_correct, difficulty, tested, *of_class[row])
                    for (_, is_correct), of_class in zip(_CLASSES, found, strict=True)
                ),
                matched=grade is not None,
            )

    def _tasks(self, keys: Sequence[tuple[int, str, str]]) -> list[str]:
        names = [_name(problem_id, title) for _, problem_id, title in keys]
        return records.unique_names(names, [source for source, _, _ in keys])

    def task_ids(self, column: Callable[[str], list[Any]]) -> list[str]:
        return self._tasks(_keys(*map(column, _KEY)))

    def index_numbers(self, column: Callable[[str], list[Any]]) -> dict[str, list[int]]:
        keys = _keys(*map(column, _KEY))
        grades = [self._grade(*key) or UNKNOWN for key in keys]
        return {
            "source": [source for source, _, _ in keys],
            "difficulty": [grade.difficulty for grade in grades],
            "cf_rating": [grade.cf_rating for grade in grades],
        }

    def plain_problem(self, raw: Mapping[str, Any], task_id: str | None) -> PlainProblem:
        ((source, problem_id, title),) = _keys(*([raw[name]] for name in _KEY))
        grade = self._grade(source, problem_id, title)
        solutions = [
            PlainSolution(
                one["code"],
                {
                    "task_id": f"{task_id}_{'correct' if is_correct else 'incorrect'}_{at}",
                    "is_correct": is_correct,
                },
                _PYTHON[one["language"]],
            )
            for name, is_correct in _CLASSES
            for at, one in enumerate(raw[name] or [])
            if one is not None and one["language"] in _PYTHON
        ]
        return PlainProblem(
            instruction=raw["description"],
            solutions=solutions,
            has_tests=not records.is_blank(records.plain_text(raw["checker"])),
            difficulty=(grade or UNKNOWN).difficulty,
            source=source,
            cf_rating=(grade or UNKNOWN).cf_rating,
            flags=records.SHARED_NAME if task_id != _name(problem_id, title) else 0,
            matched=grade is not None,
            others={
                is_correct: len(raw[name] or ())
                - sum(one.fields["is_correct"] is is_correct for one in solutions)
                for name, is_correct in _CLASSES
            },
        )


def _name(problem_id: str, title: str) -> str:
    """What code_contests calls the problem: `1575_A. Another Sorting Problem`."""
    return f"{problem_id}. {title}" if problem_id and title else problem_id or title


def _keys(
    sources: Sequence[bytes | None], ids: Sequence[bytes | None], titles: Sequence[bytes | None]
) -> list[tuple[int, str, str]]:
    """Source as code_contests numbers it (0 for another), id and title of each problem."""
    texts = ([records.plain_text(value) for value in column] for column in (sources, ids, titles))
    return [
        (_SOURCES.get(source.strip().lower(), 0), problem_id, title)
        for source, problem_id, title in zip(*texts, strict=True)
    ]


def _python(
    file: Shard, batch: pa.RecordBatch, name: str, row_of: Callable[[int], str]
) -> Iterator[tuple[list[int], list[int], list[bytes | None], int]]:
    """Per problem: indices in the full list, languages and texts of the Python solutions, and how
    many are in other languages."""
    ends, values = file.read_parallel(batch, name, row_of)
    with decoding(file.path):
        words = Text().read(values["language"])
        numbers = [_PYTHON.get(word or b"", 0) for word in words]
        wanted = np.flatnonzero(np.array(numbers, np.int8))
        texts = Text().read(values["code"].take(as_arrow(wanted)))
    bounds = np.searchsorted(wanted, ends).tolist()
    every = itertools.pairwise(ends.tolist())
    for (begin, end), (low, high) in zip(every, itertools.pairwise(bounds), strict=True):
        places = wanted[low:high].tolist()
        languages = [numbers[place] for place in places]
        others = end - begin - len(places)
        yield [place - begin for place in places], languages, texts[low:high], others


FORMAT = CodeContestsPlus()
