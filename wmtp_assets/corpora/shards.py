"""Reading upstream's parquet: the columns that are needed, a few problems at a time.

Private and generated tests are never decoded; solutions in other languages are dropped before they
become Python objects. What a row may not hold is refused with its problem, row and file.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wmtp_assets.corpora import records
from wmtp_assets.corpora.columns import Integer, Kind, Parallel, Text, Texts, UnequalError, Values
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.parquet_file import Shard, decoding
from wmtp_assets.corpora.records import Problem
from wmtp_assets.corpora.row_index import SCHEMA, as_arrow, as_numpy

_SOLUTIONS = Parallel({"language": Integer(), "solution": Text()})
_CODECONTESTS: Mapping[str, Kind] = {
    "name": Text(),
    "description": Text(),
    "public_tests": Parallel({"input": Text(), "output": Text()}),
    "source": Integer(),
    "difficulty": Integer(),
    "solutions": _SOLUTIONS,
    "incorrect_solutions": _SOLUTIONS,
    "cf_rating": Integer(),
}
_MBPP: Mapping[str, Kind] = {
    "task_id": Integer(),
    "text": Text(),
    "code": Text(),
    "test_list": Texts(),
    "test_setup_code": Text(),
}
_HUMANEVAL: Mapping[str, Kind] = {
    "task_id": Text(),
    "prompt": Text(),
    "canonical_solution": Text(),
    "test": Text(),
    "entry_point": Text(),
}
# Problems decoded at a time. A shard is one row group of some 340 problems; so few at a time keep
# their blocks in the processor's cache and memory flat.
_PROBLEMS_AT_A_TIME = 4
_AS_UPSTREAM = "Fetch the file again; if it is as upstream has it, tell the dataset's authors."


def count_problems(dataset: str, shards: Sequence[Path]) -> int:
    """Rows of all shards of `dataset`, from their footers. Raises CorpusError like its reader."""
    return sum(Shard(path, _COLUMNS[dataset]).rows for path in shards)


def read_codecontests(shards: Sequence[Path]) -> Iterator[Problem]:
    """Problems of all shards in upstream's order, with their Python solutions.

    Raises CorpusError if a shard is not readable parquet with code_contests' columns, if the lists
    of a problem are not parallel, or if a number does not fit the row index.
    """
    files = [Shard(path, _CODECONTESTS) for path in shards]
    names: list[str] = []
    sources: list[int] = []
    for file in files:
        for batch in file.batches(["name", "source"], 4096):
            names += [
                records.repaired_text(name or b"")[0]
                for name in _read(file, batch, "name", _CODECONTESTS)
            ]
            sources += [source or 0 for source in _read(file, batch, "source", _CODECONTESTS)]
    tasks = records.unique_names(names, sources)
    ordinal = 0
    for file in files:
        first = ordinal
        for batch in file.batches(list(_CODECONTESTS), _PROBLEMS_AT_A_TIME):
            for problem in _codecontests_problems(file, batch, ordinal, first, tasks, names):
                yield problem
                ordinal += 1


def read_mbpp(shards: Sequence[Path]) -> Iterator[Problem]:
    """One problem a row of mbpp. Raises CorpusError like `read_codecontests`, and for a task id
    that is null or stands twice, or a null among the tests."""

    def task_of(row: dict[str, Any]) -> str | None:
        return None if row["task_id"] is None else str(row["task_id"])

    def tests_of(row: dict[str, Any]) -> dict[str, Any]:
        return {"test_list": row["test_list"], "test_setup_code": row["test_setup_code"] or b""}

    return _read_tasks(records.MBPP, shards, task_of, tests_of, "text", "code")


def read_humaneval(shards: Sequence[Path]) -> Iterator[Problem]:
    """One problem a row of humaneval. Raises CorpusError like `read_mbpp`."""

    def task_of(row: dict[str, Any]) -> str | None:
        raw: bytes = row["task_id"] or b""
        task, repaired = records.repaired_text(raw)
        return None if repaired or not task else task

    def tests_of(row: dict[str, Any]) -> dict[str, Any]:
        return {"test": row["test"] or b"", "entry_point": row["entry_point"] or b""}

    return _read_tasks(records.HUMANEVAL, shards, task_of, tests_of, "prompt", "canonical_solution")


_COLUMNS = {
    records.CODECONTESTS: _CODECONTESTS,
    records.MBPP: _MBPP,
    records.HUMANEVAL: _HUMANEVAL,
}


def _read_tasks(
    dataset: str,
    shards: Sequence[Path],
    task_of: Callable[[dict[str, Any]], str | None],
    tests_of: Callable[[dict[str, Any]], dict[str, Any]],
    instruction: str,
    solution: str,
) -> Iterator[Problem]:
    """A problem a row; `task_of` gives a row's task id, None where it has none, and `tests_of` what
    follows it in a line, text as bytes."""
    wanted = _COLUMNS[dataset]
    files = [Shard(path, wanted) for path in shards]
    seen: dict[str, str] = {}
    ordinal = 0
    for file in files:
        first = ordinal
        for batch in file.batches(list(wanted), 256):
            columns = [_read(file, batch, name, wanted) for name in wanted]
            for values in zip(*columns, strict=True):
                row = dict(zip(wanted, values, strict=True))
                where = f"{file.path}, row {ordinal - first}"
                task = task_of(row)
                if task is None or task in seen:
                    raise CorpusError(
                        f"A row of {dataset} needs a task id of its own",
                        expected="a task_id that no other row of the split has",
                        found=f"{row['task_id']!r:.100}"
                        + (f", as in {seen[task]}" if task is not None else ""),
                        where=where,
                        hint=_AS_UPSTREAM,
                    )
                seen[task] = where
                tests, repaired = _tests(task, tests_of(row), where)
                yield Problem(
                    ordinal=ordinal,
                    instruction=row[instruction] or b"",
                    input=b"",
                    difficulty=None,
                    source=None,
                    cf_rating=None,
                    flags=records.REPAIRED if repaired else 0,
                    solutions=(records.evaluation_solution(dataset, task, row[solution], tests),),
                )
                ordinal += 1


def _tests(task: str, raw: dict[str, Any], where: str) -> tuple[dict[str, Any], bool]:
    """Tests as text, and whether any had to be repaired."""
    bad = False

    def text(value: bytes) -> str:
        nonlocal bad
        found, repaired = records.repaired_text(value)
        bad |= repaired
        return found

    found: dict[str, Any] = {}
    for name, value in raw.items():
        if isinstance(value, list):
            if None in value:
                raise CorpusError(
                    f"Task {task!r:.100} has a test that is null",
                    expected=f"text in every element of {name}",
                    found=f"null at {value.index(None)}",
                    where=where,
                    hint=_AS_UPSTREAM,
                )
            found[name] = [text(each) for each in value]
        else:
            found[name] = text(value)
    return found, bad


def _codecontests_problems(
    file: Shard, batch: pa.RecordBatch, ordinal: int, first: int, tasks: list[str], names: list[str]
) -> Iterator[Problem]:
    """The problems of a batch, whose first one is number `ordinal` of the split; `first` is the
    number of the file's first."""
    if ordinal + batch.num_rows > len(tasks):
        raise CorpusError(
            "The columns of a shard have different numbers of rows",
            expected=f"{file.rows:,} in each",
            where=file.path,
            hint=_AS_UPSTREAM,
        )
    here = names[ordinal : ordinal + batch.num_rows]

    def row_of(row: int) -> str:
        return f"problem {here[row]!r:.100}, row {ordinal - first + row} of {file.path}"

    descriptions = _read(file, batch, "description", _CODECONTESTS)
    difficulties, sources, ratings = (
        _numbers(file, batch, name, row_of) for name in ("difficulty", "source", "cf_rating")
    )
    ends, tests = _parallel(file, batch, "public_tests", row_of)
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
                records.codecontests_solutions(
                    task, is_correct, difficulties[row], end > begin, *found[row]
                )
                for is_correct, found in ((True, correct), (False, incorrect))
            ),
        )


def _python_solutions(
    file: Shard, batch: pa.RecordBatch, name: str, row_of: Callable[[int], str]
) -> Iterator[tuple[list[int], list[int], list[bytes | None]]]:
    """Per problem: indices in the full list, languages and texts of the Python solutions."""
    ends, values = _parallel(file, batch, name, row_of)
    with decoding(file.path):
        languages = as_numpy(Integer().wide(values["language"]))
        wanted = np.flatnonzero(np.isin(languages, records.PYTHON_LANGUAGES))
        kept_texts = Text().read(values["solution"].take(as_arrow(wanted)))
    kept_languages = languages[wanted].tolist()
    bounds = np.searchsorted(wanted, ends).tolist()
    for row in range(batch.num_rows):
        begin, end = bounds[row], bounds[row + 1]
        indices = (wanted[begin:end] - ends[row]).tolist()
        yield indices, kept_languages[begin:end], kept_texts[begin:end]


def _parallel(
    file: Shard, batch: pa.RecordBatch, name: str, row_of: Callable[[int], str]
) -> tuple[NDArray[np.int64], Values]:
    try:
        found: tuple[NDArray[np.int64], Values] = _read(file, batch, name, _CODECONTESTS)
    except UnequalError as error:
        raise CorpusError(
            f"The lists of {name} are not parallel",
            expected="lists of equal length in every problem",
            found=error.found,
            where=row_of(error.row),
            hint=_AS_UPSTREAM,
        ) from error
    return found


def _numbers(
    file: Shard, batch: pa.RecordBatch, name: str, row_of: Callable[[int], str]
) -> list[int]:
    """A column of numbers that the row index holds, null as 0: upstream's own "unknown"."""
    most = (1 << (SCHEMA.field(name).type.bit_width - 1)) - 1
    found = [value or 0 for value in _read(file, batch, name, _CODECONTESTS)]
    for row, value in enumerate(found):
        if not 0 <= value <= most:
            raise CorpusError(
                f"A problem's {name} is out of range",
                expected=f"a number from 0 to {most:,}, or null",
                found=value,
                where=row_of(row),
                hint=_AS_UPSTREAM,
            )
    return found


def _read(file: Shard, batch: pa.RecordBatch, name: str, wanted: Mapping[str, Kind]) -> Any:
    with decoding(file.path, f"A shard's column {name} cannot be decoded"):
        return wanted[name].read(batch[name])
