"""Reading upstream's parquet: the columns that are needed, a few problems at a time.

Private and generated tests are never decoded; solutions in other languages are dropped before they
become Python objects.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wmtp_assets.corpora import records
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.records import Problem, Solutions
from wmtp_assets.corpora.rowindex import as_arrow, as_numpy

_TEXT, _NUMBER, _TEXTS, _NUMBERS = "text", "integer", "list of text", "list of integers"

_CODECONTESTS_LEAVES = {
    "name": _TEXT,
    "description": _TEXT,
    "public_tests.input": _TEXTS,
    "public_tests.output": _TEXTS,
    "source": _NUMBER,
    "difficulty": _NUMBER,
    "solutions.language": _NUMBERS,
    "solutions.solution": _TEXTS,
    "incorrect_solutions.language": _NUMBERS,
    "incorrect_solutions.solution": _TEXTS,
    "cf_rating": _NUMBER,
}
_MBPP_LEAVES = {
    "task_id": _NUMBER,
    "text": _TEXT,
    "code": _TEXT,
    "test_list": _TEXTS,
    "test_setup_code": _TEXT,
}
_HUMANEVAL_LEAVES = {
    "task_id": _TEXT,
    "prompt": _TEXT,
    "canonical_solution": _TEXT,
    "test": _TEXT,
    "entry_point": _TEXT,
}
# Problems decoded at a time. A shard is one row group of some 340 problems; so few at a time keep
# their blocks in the processor's cache and memory flat.
_PROBLEMS_AT_A_TIME = 4


def count_problems(shards: Sequence[Path]) -> int:
    """Rows of all shards, from their footers."""
    return sum(_open(shard).metadata.num_rows for shard in shards)


def read_codecontests(shards: Sequence[Path]) -> Iterator[Problem]:
    """Problems of all shards in upstream's order, with their Python solutions.

    Raises CorpusError if a shard is not readable parquet with code_contests' columns.
    """
    files = [_opened(shard, _CODECONTESTS_LEAVES) for shard in shards]
    names: list[str] = []
    sources: list[int] = []
    for shard, file in zip(shards, files, strict=True):
        for batch in _batches(shard, file, ["name", "source"], 4096):
            names += [records.repaired_text(name or b"")[0] for name in _raw(batch["name"])]
            sources += [source or 0 for source in batch["source"].to_pylist()]
    tasks = records.unique_names(names, sources)
    ordinal = 0
    for shard, file in zip(shards, files, strict=True):
        columns = list(_CODECONTESTS_LEAVES)
        for batch in _batches(shard, file, columns, _PROBLEMS_AT_A_TIME):
            for problem in _codecontests_problems(batch, shard, ordinal, tasks, names):
                yield problem
                ordinal += 1


def read_mbpp(shards: Sequence[Path]) -> Iterator[Problem]:
    """One problem a row of mbpp. Raises CorpusError like `read_codecontests`."""

    def problem(row: dict[str, Any], ordinal: int) -> Problem:
        tests = {
            "test_list": [_text(test) for test in row["test_list"] or []],
            "test_setup_code": _text(row["test_setup_code"]),
        }
        solution = records.evaluation_solution(
            records.MBPP, str(row["task_id"]), row["code"], tests
        )
        return _evaluation_problem(ordinal, row["text"], solution)

    return _read_rows(shards, _MBPP_LEAVES, problem)


def read_humaneval(shards: Sequence[Path]) -> Iterator[Problem]:
    """One problem a row of humaneval. Raises CorpusError like `read_codecontests`."""

    def problem(row: dict[str, Any], ordinal: int) -> Problem:
        tests: dict[str, object] = {
            "test": _text(row["test"]),
            "entry_point": _text(row["entry_point"]),
        }
        solution = records.evaluation_solution(
            records.HUMANEVAL, _text(row["task_id"]), row["canonical_solution"], tests
        )
        return _evaluation_problem(ordinal, row["prompt"], solution)

    return _read_rows(shards, _HUMANEVAL_LEAVES, problem)


def _read_rows(
    shards: Sequence[Path],
    leaves: dict[str, str],
    problem: Callable[[dict[str, Any], int], Problem],
) -> Iterator[Problem]:
    files = [_opened(shard, leaves) for shard in shards]
    ordinal = 0
    for shard, file in zip(shards, files, strict=True):
        for batch in _batches(shard, file, list(leaves), 256):
            columns = {name: _python(batch[name]) for name in leaves}
            for row in zip(*columns.values(), strict=True):
                yield problem(dict(zip(columns, row, strict=True)), ordinal)
                ordinal += 1


def _evaluation_problem(ordinal: int, text: bytes | None, solution: Solutions) -> Problem:
    return Problem(
        ordinal=ordinal,
        instruction=text or b"",
        input=b"",
        difficulty=None,
        source=None,
        cf_rating=None,
        flags=0,
        solutions=(solution,),
    )


def _codecontests_problems(
    batch: pa.RecordBatch, shard: Path, ordinal: int, tasks: list[str], names: list[str]
) -> Iterator[Problem]:
    descriptions = _raw(batch["description"])
    difficulties = batch["difficulty"].to_pylist()
    sources = batch["source"].to_pylist()
    ratings = batch["cf_rating"].to_pylist()
    tests = batch["public_tests"].flatten()
    test_inputs, test_outputs = _python(tests[0]), _python(tests[1])
    correct = list(_python_solutions(batch["solutions"], shard, "solutions"))
    incorrect = list(_python_solutions(batch["incorrect_solutions"], shard, "incorrect_solutions"))
    for row, description in enumerate(descriptions):
        inputs, outputs = test_inputs[row] or [], test_outputs[row] or []
        task = tasks[ordinal + row]
        difficulty = difficulties[row] or 0
        yield Problem(
            ordinal=ordinal + row,
            instruction=description or b"",
            input=b"\n\n".join(
                b"Input: " + given + b"\nOutput: " + wanted
                for given, wanted in zip(inputs[:2], outputs[:2], strict=False)
                if given and wanted
            ),
            difficulty=difficulty,
            source=sources[row] or 0,
            cf_rating=ratings[row] or 0,
            flags=records.SHARED_NAME if task != names[ordinal + row] else 0,
            solutions=tuple(
                records.codecontests_solutions(
                    task, is_correct, difficulty, bool(inputs), *found[row]
                )
                for is_correct, found in ((True, correct), (False, incorrect))
            ),
        )


def _python_solutions(
    column: pa.StructArray, shard: Path, name: str
) -> Iterator[tuple[list[int], list[int], list[bytes | None]]]:
    """Per problem: indices in the full list, languages and texts of the Python solutions."""
    languages, texts = column.flatten()
    language_ends = _offsets(languages)
    if not np.array_equal(language_ends, _offsets(texts)):
        raise CorpusError(
            f"{name}.language and {name}.solution are not parallel lists",
            expected="lists of equal length in every problem",
            where=shard,
            mend="Fetch the shard again; if it is as upstream has it, tell the dataset's authors.",
        )
    flat = as_numpy(languages.flatten())
    wanted = np.flatnonzero(np.isin(flat, records.PYTHON_LANGUAGES))
    kept_texts = _raw(texts.flatten().take(as_arrow(wanted)))
    kept_languages = flat[wanted].tolist()
    bounds = np.searchsorted(wanted, language_ends).tolist()
    for row in range(len(column)):
        begin, end = bounds[row], bounds[row + 1]
        indices = (wanted[begin:end] - language_ends[row]).tolist()
        yield indices, kept_languages[begin:end], kept_texts[begin:end]


def _offsets(lists: pa.ListArray) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Where each list begins among the flattened values, and the end; a null list is empty."""
    sizes = np.maximum(as_numpy(pc.list_value_length(lists)), 0)
    return np.concatenate(([0], np.cumsum(sizes, dtype=np.int64)))


def _raw(texts: pa.Array) -> list[bytes | None]:
    """Texts as their bytes: upstream's Arrow strings may hold what is not UTF-8."""
    large = pa.types.is_large_string(texts.type)
    found: list[bytes | None] = texts.view(pa.large_binary() if large else pa.binary()).to_pylist()
    return found


def _python(column: pa.Array) -> list[Any]:
    """A column as Python values, texts as bytes."""
    kind = column.type
    if _is_text(kind):
        return _raw(column)
    if _is_list(kind) and _is_text(kind.value_type):
        ends = _offsets(column).tolist()
        flat = _raw(column.flatten())
        return [flat[begin:end] for begin, end in itertools.pairwise(ends)]
    values: list[Any] = column.to_pylist()
    return values


def _text(raw: bytes | None) -> str:
    return records.repaired_text(raw or b"")[0]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _matches(kind: pa.DataType, wanted: str) -> bool:
    if wanted in (_TEXTS, _NUMBERS):
        wanted = _TEXT if wanted == _TEXTS else _NUMBER
        return _is_list(kind) and _matches(kind.value_type, wanted)
    return _is_text(kind) if wanted == _TEXT else bool(pa.types.is_integer(kind))


def _open(shard: Path) -> pq.ParquetFile:
    try:
        # A buffered stream, so that a column of a shard is never in memory as a whole.
        return pq.ParquetFile(shard, buffer_size=1 << 20, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(
            "A shard is not readable parquet",
            found=str(error),
            where=shard,
            mend="Fetch it again.",
        ) from error


def _opened(shard: Path, leaves: dict[str, str]) -> pq.ParquetFile:
    file = _open(shard)
    for leaf, wanted in leaves.items():
        kind: pa.DataType | None = None
        fields = file.schema_arrow
        for part in leaf.split("."):
            at = fields.get_field_index(part)
            if at < 0:
                kind = None
                break
            kind = fields.field(at).type
            fields = kind
        if kind is None or not _matches(kind, wanted):
            raise CorpusError(
                f"A shard's column {leaf} is missing or of another type",
                expected=wanted,
                found="no such column" if kind is None else str(kind),
                where=shard,
                mend="Compare with the dataset's card: upstream's schema may have changed.",
            )
    return file


def _batches(
    shard: Path, file: pq.ParquetFile, columns: list[str], size: int
) -> Iterator[pa.RecordBatch]:
    try:
        # One thread: on two cores the other one formats, and decoding in step keeps memory flat.
        yield from file.iter_batches(batch_size=size, columns=columns, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(
            "A shard cannot be decoded", found=str(error), where=shard, mend="Fetch it again."
        ) from error
