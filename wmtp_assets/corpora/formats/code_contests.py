"""deepmind/code_contests: problems with correct and incorrect solutions in several languages.

Rows are the Python 2 and 3 solutions, with their class and upstream's difficulty. For rows, private
and generated tests are never decoded; solutions in other languages are dropped before they become
Python objects. What a row may not hold is refused with its problem, row and file.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from wmtp_assets.corpora import records
from wmtp_assets.corpora.classed_solutions import solutions_of
from wmtp_assets.corpora.columns import Integer, Kind, Parallel, Struct, Text
from wmtp_assets.corpora.dataset_format import (
    TASK_ID,
    DatasetFormat,
    Relative,
    Rule,
)
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.evaluation import EvaluationSource, task_names
from wmtp_assets.corpora.format_checks import difficulty_in_training_range
from wmtp_assets.corpora.parquet_file import AS_UPSTREAM, Shard, decoding
from wmtp_assets.corpora.records import PlainProblem, PlainSolution, Problem
from wmtp_assets.corpora.row_index import as_arrow, as_numpy, most
from wmtp_assets.corpora.runnable import Programs

_PYTHON_LANGUAGES = (1, 3)  # upstream's proto: 1 PYTHON (2.x), 3 PYTHON3
_SOLUTIONS = Parallel({"language": Integer(), "solution": Text()})
# Problems decoded at a time. A shard is one row group of some 340 problems; so few at a time keep
# their blocks in the processor's cache and memory flat.
_PROBLEMS_AT_A_TIME = 4


# How often labels hold, by others: none of it is about the rows that are made here.
_ALPHACODE: Final = "AlphaCode (Li et al. 2022), table 2"
_O: Final = "CodeContests-O's README"
_PUBLISHED_RATES: Final[Sequence[Mapping[str, object]]] = (
    {
        "what": f"{_ALPHACODE}, the tests as scraped",
        "figures": {"false_positive": 0.62},
        "protocol": "of problems that a model solved by these tests, the share whose accepted "
        "sample was wrong when people looked at it; samples of a model, not upstream's "
        "solutions",
    },
    {
        "what": f"{_ALPHACODE}, with generated tests",
        "figures": {"false_positive": 0.04, "false_positive_or_slow": 0.46},
        "protocol": "as before, with all of code_contests' tests; the second figure also "
        "counts samples that are correct and too slow",
    },
    {
        "what": f"{_O}, of CodeContests",
        "figures": {"true_positive": 0.8505, "true_negative": 0.8152},
        "protocol": "upstream's labelled solutions against the dataset's tests, as its authors "
        "ran them; languages, limits and machine are theirs",
    },
    {
        "what": f"{_O}, of CodeContests+",
        "figures": {"true_positive": 0.79, "true_negative": 0.8304},
        "protocol": "as before, of CodeContests+'s tests and solutions; the paper of "
        "CodeContests+ (arXiv:2506.05817) states other figures, by a protocol of its own",
    },
)


class CodeContests(DatasetFormat):
    """Instruction: the description. Input: up to two public tests, where `shows_tests`. Output: one
    solution."""

    shows_tests: ClassVar[bool] = True
    """Whether the input is tests. Today's training code wants none: the description holds the
    examples already."""

    name = "code-contests"
    label = "codecontests"
    citation = (
        "Y. Li et al., Competition-Level Code Generation with AlphaCode, Science 378 (2022) "
        "1092-1097, https://arxiv.org/abs/2203.07814"
    )
    source = "code_contests"
    columns: ClassVar[Mapping[str, Kind]] = {
        "name": Text(),
        "description": Text(),
        "public_tests": Parallel({"input": Text(), "output": Text()}),
        "source": Integer(),
        "difficulty": Integer(),
        "solutions": _SOLUTIONS,
        "incorrect_solutions": _SOLUTIONS,
        "cf_rating": Integer(),
    }
    fields: ClassVar[Mapping[str, Rule]] = {
        "task_id": {**TASK_ID, "pattern": "_(in)?correct_[0-9]+$"},
        "is_correct": {"type": "boolean"},
    }
    # Upstream's proto: 0 unknown, 1-5 EASY to HARDEST, 6 EXTERNAL, 7 A ... 29 V; the number 18 is
    # not used, as 5 is not among the sources. The Hub's ClassLabel names hide both gaps.
    difficulties = tuple(value for value in range(30) if value != 18)
    difficulty_names: ClassVar[Mapping[int, str]] = {
        **dict(enumerate(("unknown", "easy", "medium", "hard", "harder", "hardest", "external"))),
        **dict(zip((n for n in difficulties if n > 6), "ABCDEFGHIJKLMNOPQRSTUV", strict=True)),
    }
    source_names: ClassVar[Mapping[int, str]] = {
        0: "unknown",
        1: "CodeChef",
        2: "Codeforces",
        3: "HackerEarth",
        4: "CodeJam",
        6: "AtCoder",
        7: "Aizu",
    }
    scales: ClassVar[Mapping[int, str]] = {1: "levels", 2: "letters"}
    # AlphaCode (Li et al., 2022), table 1.
    python_solutions: ClassVar[Mapping[str, float]] = {"train": 281.1, "valid": 137.2, "test": 97.3}
    published_rates = _PUBLISHED_RATES
    index_columns = ("difficulty", "source", "cf_rating")
    checks = (difficulty_in_training_range,)
    relatives: ClassVar[Sequence[Relative]] = (
        Relative(
            "Code-Contests-Plus (ByteDance-Seed/Code-Contests-Plus), whose columns are others",
            frozenset({"correct_submissions", "incorrect_submissions"}),
            "Write `layout: code-contests-plus` into the catalog's entry, with `difficulties_from` "
            "naming an entry of deepmind/code_contests, or name that repository itself.",
        ),
        Relative(
            "code_contests with one solution per row (teven/code_contests and its like)",
            frozenset({"description", "solution", "language"}),
            "Name the files of deepmind/code_contests in the catalog, whose rows are problems: "
            "data/<split>-*.parquet.",
        ),
    )
    evaluation = EvaluationSource(
        instruction="description",
        facts={
            "source": Integer(),
            "difficulty": Integer(),
            "cf_rating": Integer(),
            "time_limit": Struct({"seconds": Integer(), "nanos": Integer()}),
            "memory_limit_bytes": Integer(),
        },
        tests=("public_tests", "private_tests", "generated_tests"),
    )
    divides = True
    execution = Programs(time_limit="time_limit", memory_limit="memory_limit_bytes")
    growth = 3  # JSONL is about twice the size of the parquet (7.5 GB give 15); the index on top
    row_bytes = 4_200  # published counts: 15 GB for 3.7 million rows
    version = "2"  # the statistics count what was left out by class, and other languages

    def problems(self, shards: Sequence[Path]) -> Iterator[Problem]:
        """Problems with their Python solutions.

        Raises CorpusError if a shard is not readable parquet with these columns, if the lists of a
        problem are not parallel, or if a number does not fit the row index.
        """
        return self.problems_of(shards, range(len(shards)))

    def problems_of(self, shards: Sequence[Path], numbers: range) -> Iterator[Problem]:
        """As `problems`, of some of the shards; of the others only names and sources are read."""
        files = [Shard(path, self.columns) for path in shards]
        names, tasks = task_names(files)
        ordinal = 0
        for number, file in enumerate(files):
            first = ordinal
            if number not in numbers:
                ordinal += file.rows
                continue
            for batch in file.batches(list(self.columns), _PROBLEMS_AT_A_TIME):
                for problem in _problems(file, batch, ordinal, first, tasks, names):
                    yield problem if self.shows_tests else replace(problem, input=b"")
                    ordinal += 1

    @property
    def current(self) -> DatasetFormat:
        return _CURRENT

    def task_ids(self, column: Callable[[str], list[Any]]) -> list[str]:
        names = [records.plain_text(name) for name in column("name")]
        return records.unique_names(names, [source or 0 for source in column("source")])

    def plain_problem(self, raw: Mapping[str, Any], task_id: str | None) -> PlainProblem:
        tests = _pairs(raw["public_tests"], "input", "output")
        shown = (
            b"Input: " + given + b"\nOutput: " + wanted
            for given, wanted in tests[:2]
            if given and wanted
        )
        solutions = [
            PlainSolution(
                text,
                {"task_id": f"{task_id}_{kind}_{at}", "is_correct": kind == "correct"},
                language,
            )
            for column, kind in (("solutions", "correct"), ("incorrect_solutions", "incorrect"))
            for at, (language, text) in enumerate(_pairs(raw[column], "language", "solution"))
            if language in _PYTHON_LANGUAGES
        ]
        return PlainProblem(
            instruction=raw["description"],
            input=b"\n\n".join(shown) if self.shows_tests else b"",
            solutions=solutions,
            has_tests=bool(tests),
            difficulty=raw["difficulty"] or 0,
            source=raw["source"] or 0,
            cf_rating=raw["cf_rating"] or 0,
            flags=records.SHARED_NAME if task_id != records.plain_text(raw["name"]) else 0,
            others={
                is_correct: _length(raw[column])
                - sum(one.fields["is_correct"] is is_correct for one in solutions)
                for column, is_correct in (("solutions", True), ("incorrect_solutions", False))
            },
        )


def _problems(
    file: Shard, batch: pa.RecordBatch, ordinal: int, first: int, tasks: list[str], names: list[str]
) -> Iterator[Problem]:
    """The problems of a batch, whose first one is number `ordinal` of the split; `first` is the
    number of the file's first."""
    if ordinal + batch.num_rows > len(tasks):
        raise CorpusError(
            "The columns of a shard have different numbers of rows",
            expected=f"{file.rows:,} in each",
            where=file.path,
            hint=AS_UPSTREAM,
        )
    here = names[ordinal : ordinal + batch.num_rows]

    def row_of(row: int) -> str:
        return f"problem {here[row]!r:.100}, row {ordinal - first + row} of {file.path}"

    descriptions = file.read(batch, "description")
    difficulties, sources, ratings = (
        _numbers(file, batch, name, row_of) for name in ("difficulty", "source", "cf_rating")
    )
    ends, tests = file.read_parallel(batch, "public_tests", row_of)
    with decoding(file.path):
        given, wanted = (Text().read(tests[name]) for name in ("input", "output"))
    correct = list(_python_solutions(file, batch, "solutions", row_of))
    incorrect = list(_python_solutions(file, batch, "incorrect_solutions", row_of))
    for row, (begin, end) in enumerate(itertools.pairwise(ends.tolist())):
        task = tasks[ordinal + row]
        shown = slice(begin, min(end, begin + 2))
        yield Problem(
            ordinal=ordinal + row,
            instruction=descriptions[row] or b"",
            input=b"\n\n".join(
                b"Input: " + one + b"\nOutput: " + other
                for one, other in zip(given[shown], wanted[shown], strict=True)
                if one and other
            ),
            difficulty=difficulties[row],
            source=sources[row],
            cf_rating=ratings[row],
            flags=records.SHARED_NAME if task != here[row] else 0,
            solutions=tuple(
                solutions_of(FORMAT, task, is_correct, difficulties[row], end > begin, *found[row])
                for is_correct, found in ((True, correct), (False, incorrect))
            ),
        )


def _python_solutions(
    file: Shard, batch: pa.RecordBatch, name: str, row_of: Callable[[int], str]
) -> Iterator[tuple[list[int], list[int], list[bytes | None], int]]:
    """Per problem: indices in the full list, languages and texts of the Python solutions, and how
    many are in other languages."""
    ends, values = file.read_parallel(batch, name, row_of)
    with decoding(file.path):
        languages = as_numpy(Integer().wide(values["language"]))
        wanted = np.flatnonzero(np.isin(languages, _PYTHON_LANGUAGES))
        kept_texts = Text().read(values["solution"].take(as_arrow(wanted)))
    kept_languages = languages[wanted].tolist()
    bounds = np.searchsorted(wanted, ends).tolist()
    for row in range(batch.num_rows):
        begin, end = bounds[row], bounds[row + 1]
        indices = (wanted[begin:end] - ends[row]).tolist()
        others = int(ends[row + 1] - ends[row]) - len(indices)
        yield indices, kept_languages[begin:end], kept_texts[begin:end], others


def _numbers(
    file: Shard, batch: pa.RecordBatch, name: str, row_of: Callable[[int], str]
) -> list[int]:
    """A column of numbers that the row index holds, null as 0: upstream's own "unknown"."""
    largest = most(name)
    found = [value or 0 for value in file.read(batch, name)]
    for row, value in enumerate(found):
        if not 0 <= value <= largest:
            raise CorpusError(
                f"A problem's {name} is out of range",
                expected=f"a number from 0 to {largest:,}, or null",
                found=value,
                where=row_of(row),
                hint=AS_UPSTREAM,
            )
    return found


def _length(value: Any) -> int:
    """How many pairs a struct of lists or a list of structs holds, null ones too."""
    if isinstance(value, dict):
        return max((len(each) for each in value.values() if each is not None), default=0)
    return len(value or ())


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


class _WithoutInput(CodeContests):
    """As today's training code reads the rows: input is empty."""

    shows_tests = False


FORMAT = CodeContests()
_CURRENT = _WithoutInput()
