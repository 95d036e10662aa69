"""One pass over a JSONL file, counting all that the checks ask about it.

Blocks of lines are parsed into Arrow columns and checked column by column, on every core; where a
block is not as it should be, its lines are looked at one by one, to name them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.overlap import FIELDS, TextHashes
from wmtp_assets.corpora.problem_map import problem_runs
from wmtp_assets.corpora.row_index import RowIndex, as_numpy
from wmtp_assets.corpora.row_validation import parsed, type_faults, value_faults
from wmtp_assets.corpora.scanned_rows import LineFacts, ScannedRows
from wmtp_assets.storage.digests import cores

# Bytes of lines that are checked together; a longer line is a block of its own. A block costs some
# milliseconds of pandera's, whatever its size.
_BLOCK = 16 << 20
_IN_CACHE = 1 << 20
_KEPT = 5  # failures of a kind that are shown
_ABSENT = "absent"
_NEWLINE = 10
_INSTRUCTION, _INPUT, _OUTPUT = b'{"instruction": "', b'", "input": "', b'", "output": "'
_EMPTY_HEAD = _INSTRUCTION + _INPUT + _OUTPUT
_MOST = np.iinfo(np.int16).max
_COLUMNS = ("is_correct", "difficulty", "offset", "length")


@dataclass(frozen=True)
class _Block:
    """Whole lines, and where they stand in the file."""

    lines: bytes
    first: int  # line
    offset: int  # byte
    ends: NDArray[np.int64]  # one past each newline, within `lines`


def scan_rows(jsonl: Path, dataset_format: DatasetFormat, index: RowIndex) -> ScannedRows:
    """Read every line of `jsonl`: compare it with the schema of its format and with its row of
    `index`."""
    found = ScannedRows(tests_field=dataset_format.tests_field)
    digest = hashlib.sha256()
    described = {name: index.column(name) for name in _COLUMNS}
    task_ids: list[NDArray[np.uint64]] = []
    facts: list[LineFacts | None] = []
    texts: dict[str, list[TextHashes]] = {name: [] for name in FIELDS}
    waiting: deque[Future[tuple[ScannedRows, NDArray[np.uint64]]]] = deque()
    workers = cores()

    def take() -> None:
        part, ids = waiting.popleft().result()
        task_ids.append(ids)
        facts.append(part.facts)
        for name in FIELDS:
            texts[name].append(part.texts[name])
        _add(found, part)

    with ThreadPoolExecutor(workers) as pool:
        for block in _blocks(jsonl):
            waiting.append(pool.submit(_checked, block, dataset_format, described))
            digest.update(block.lines)  # lets the workers run meanwhile
            if len(waiting) > workers:
                take()
        while waiting:
            take()
    if found.rows != len(index):
        past = "goes on after" if len(index) > found.rows else "ends before"
        _note(found.not_index, f"the index {past} line {found.rows - 1}")
    together = np.concatenate(task_ids) if task_ids else np.empty(0, np.uint64)
    together.sort()  # np.unique hashes, which takes fifteen times as long
    found.repeated_task_ids = int((together[1:] == together[:-1]).sum())
    found.digest = digest.hexdigest()
    found.facts = _together(facts)
    found.texts = {name: TextHashes.joined(texts.pop(name)) for name in FIELDS}
    return found


def _together(parts: Sequence[LineFacts | None]) -> LineFacts | None:
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts):
        return None
    return LineFacts(
        np.concatenate([part.is_correct for part in known]),
        np.concatenate([part.difficulty for part in known]),
        [run for part in known for run in part.problems],
    )


def _blocks(jsonl: Path) -> Iterator[_Block]:
    """The file in blocks that end with a line; the last may lack its newline."""
    line = offset = 0
    with jsonl.open("rb") as file:
        while whole := file.read(_BLOCK):
            whole += file.readline()
            ends = _ends(whole)
            if not whole.endswith(b"\n"):
                ends = np.append(ends, len(whole))
            yield _Block(whole, line, offset, ends)
            line += ends.size
            offset += len(whole)


def _ends(lines: bytes) -> NDArray[np.int64]:
    """One past each newline."""
    values = np.frombuffer(lines, np.uint8)
    return np.concatenate(
        [
            np.flatnonzero(values[first : first + _IN_CACHE] == _NEWLINE) + (first + 1)
            for first in range(0, len(lines), _IN_CACHE)
        ]
    )


def _checked(
    block: _Block, dataset_format: DatasetFormat, described: Mapping[str, NDArray[Any]]
) -> tuple[ScannedRows, NDArray[np.uint64]]:
    tests_field = dataset_format.tests_field
    found = ScannedRows(rows=block.ends.size, bytes=len(block.lines))
    lengths = np.diff(block.ends, prepend=0)
    _compare(found, block, lengths, described)
    table = _table(block, dataset_format)
    if table is None:
        return found, _line_by_line(found, block, dataset_format, described)
    # Of lines that repeat an instruction, `_each_head_once` has left only the first.
    found.texts = {name: TextHashes.of_column(table[name], block.first) for name in FIELDS}
    for fault in value_faults(table, dataset_format, block.first):
        _note(found.not_schema, fault)
    rows = slice(block.first, block.first + table.num_rows)
    if "is_correct" in table.column_names:
        classes = as_numpy(table["is_correct"])
        found.classes.update(correct=int(classes.sum()), incorrect=int((classes == 0).sum()))
    else:
        classes = np.full(table.num_rows, -1, np.int8)
        found.classes[_ABSENT] += table.num_rows
    _unlike(found, block, classes, described["is_correct"][rows], "is_correct")
    graded = bool(dataset_format.difficulties)
    if graded:
        values = as_numpy(table["metadata.difficulty"])
        for value, name in ((1, "correct"), (0, "incorrect"), (-1, _ABSENT)):
            _count(found, name, values[classes == value])
    else:
        found.difficulties[None] += table.num_rows
        found.by_class[_ABSENT] = Counter({None: table.num_rows})
        values = np.full(table.num_rows, -1)
    _unlike(found, block, values, described["difficulty"][rows], "difficulty")
    task_ids = table["task_id"].to_pylist()
    if not graded or (values.min() >= 0 and values.max() < _MOST):
        problems = list(problem_runs(task_ids, block.first))
        found.facts = LineFacts(classes.astype(np.int8), values.astype(np.int16), problems)
    if tests_field is not None:
        lengths_of = (
            pc.list_value_length if pa.types.is_list(table[tests_field].type) else pc.binary_length
        )
        empty = as_numpy(pc.equal(lengths_of(table[tests_field]), 0))
        for at in np.flatnonzero(empty)[:_KEPT].tolist():
            _note(found.without_tests, f"line {block.first + at}: {tests_field}")
    return found, _hashes(task_ids)


def _table(block: _Block, dataset_format: DatasetFormat) -> pa.Table | None:
    """The block as columns; None where a line is not what `parsed` takes."""
    # Arrow's parser takes objects only: it has been seen to crash on a line that says null.
    begins = np.frombuffer(block.lines, np.uint8)[np.append(0, block.ends[:-1])]
    if not block.lines.endswith(b"}\n") or not (begins == ord("{")).all():
        return None
    try:
        if not block.lines.isascii():
            block.lines.decode()  # Arrow takes any bytes for a text
        table = parsed(_each_head_once(block), dataset_format)
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return None
    # Arrow takes a missing field for a null, and passes over empty lines.
    nulls = any(table[name].null_count for name in table.column_names)
    return None if nulls or table.num_rows != block.ends.size else table


def _each_head_once(block: _Block) -> bytes:
    """The lines, instruction and input left empty where they are those of the line before.

    Rows of one problem share both, which are most of a line, and nothing is asked of either but
    that it is a text: that is seen of the first of them. A head ends where the output's text
    begins; quotes within JSON text are escaped, so what marks its end can be part of no text.
    """
    lines, head, begin = block.lines, b"", 0
    parts: list[bytes] = []
    for end in block.ends.tolist():
        if head and lines.startswith(head, begin):
            parts += (_EMPTY_HEAD, lines[begin + len(head) : end])
        else:
            at = lines.find(_OUTPUT, begin, end)
            head = lines[begin : at + len(_OUTPUT)] if at >= 0 else b""
            if not head.startswith(_INSTRUCTION) or _INPUT not in head:
                head = b""
            parts.append(lines[begin:end])
        begin = end
    return b"".join(parts)


def _line_by_line(
    found: ScannedRows,
    block: _Block,
    dataset_format: DatasetFormat,
    described: Mapping[str, NDArray[Any]],
) -> NDArray[np.uint64]:
    """The same, record by record: what is wrong is named by its line."""
    tests_field = dataset_format.tests_field
    task_ids = []
    texts: dict[str, list[tuple[int, bytes]]] = {name: [] for name in FIELDS}
    begin = 0
    for place, end in enumerate(block.ends.tolist(), block.first):
        line = block.lines[begin:end]
        begin = end
        record = _parsed(line)
        if record is None:
            _note(found.not_json, f"line {place}: not a JSON object and one newline")
            continue
        for fault in _faults(line, record, dataset_format, place):
            _note(found.not_schema, fault)
        found.classes[_class_of(record)] += 1
        difficulty = _difficulty_of(record, dataset_format)
        found.difficulties[difficulty] += 1
        found.by_class.setdefault(_class_of(record), Counter())[difficulty] += 1
        if tests_field is not None and not record.get(tests_field):
            _note(found.without_tests, f"line {place}: {tests_field}")
        if place < described["is_correct"].size:
            is_correct = record.get("is_correct")
            if (int(is_correct) if isinstance(is_correct, bool) else -1) != described["is_correct"][
                place
            ]:
                _note(found.not_index, f"line {place}: is_correct")
            if described["difficulty"][place] != (-1 if difficulty is None else difficulty):
                _note(found.not_index, f"line {place}: difficulty")
        task_ids.append(str(record.get("task_id")))
        for name, known in texts.items():
            known.append((place, str(record.get(name)).encode(errors="replace")))
    found.texts = {name: TextHashes.of(known) for name, known in texts.items()}
    return _hashes(task_ids)


def _faults(
    line: bytes, record: dict[str, Any], dataset_format: DatasetFormat, place: int
) -> list[str]:
    wrong = type_faults(record, dataset_format)
    if wrong:
        return [f"line {place}: {fault}" for fault in wrong]
    try:
        return value_faults(parsed(line, dataset_format), dataset_format, place)
    except pa.ArrowInvalid as error:  # a lone surrogate, say: text that is no Unicode
        return [f"line {place}: {str(error).splitlines()[0]}"]


def _compare(
    found: ScannedRows,
    block: _Block,
    lengths: NDArray[np.int64],
    described: Mapping[str, NDArray[Any]],
) -> None:
    """Hold the lines' places against the rows that describe them."""
    rows = slice(block.first, block.first + block.ends.size)
    offsets = block.offset + block.ends - lengths
    known = described["offset"][rows]
    wrong = (known != offsets[: known.size]) | (described["length"][rows] != lengths[: known.size])
    for at in np.flatnonzero(wrong)[:_KEPT].tolist():
        _note(found.not_index, f"line {block.first + at}: offset or length")


def _count(found: ScannedRows, of_class: str, difficulties: NDArray[Any]) -> None:
    """Count the difficulties of the rows of a class."""
    if difficulties.size:
        values, times = map(np.ndarray.tolist, np.unique(difficulties, return_counts=True))
        counted = Counter(dict(zip(values, times, strict=True)))
        found.by_class[of_class] = counted
        found.difficulties.update(counted)


def _unlike(
    found: ScannedRows, block: _Block, values: NDArray[Any], known: NDArray[Any], name: str
) -> None:
    for at in np.flatnonzero(values[: known.size] != known)[:_KEPT].tolist():
        _note(found.not_index, f"line {block.first + at}: {name}")


def _add(found: ScannedRows, part: ScannedRows) -> None:
    found.rows += part.rows
    found.bytes += part.bytes
    found.classes.update(part.classes)
    found.difficulties.update(part.difficulties)
    for name, counts in part.by_class.items():
        found.by_class.setdefault(name, Counter()).update(counts)
    for name in ("not_json", "not_schema", "not_index", "without_tests"):
        for what in getattr(part, name):
            _note(getattr(found, name), what)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line, object_pairs_hook=_each_once)
    except ValueError:
        return None
    return record if isinstance(record, dict) and line.endswith(b"}\n") else None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a field twice")
    return record


def _class_of(record: dict[str, Any]) -> str:
    value = record.get("is_correct", _ABSENT)
    return (
        {True: "correct", False: "incorrect"}[value]
        if isinstance(value, bool)
        else (_ABSENT if value == _ABSENT else "not boolean")
    )


def _difficulty_of(record: dict[str, Any], dataset_format: DatasetFormat) -> int | str | None:
    """Upstream's number; None of a row that has none and need not; else what is wrong with it."""
    metadata = record.get("metadata")
    value = metadata.get("difficulty", _ABSENT) if isinstance(metadata, dict) else _ABSENT
    if type(value) is int:
        return value
    if value != _ABSENT:
        return "not an integer"
    return _ABSENT if dataset_format.difficulties else None


def _hashes(task_ids: list[str]) -> NDArray[np.uint64]:
    """64 bits per task id: millions of texts would not fit in memory, and a chance meeting is one
    in millions of millions."""
    digests = (xxhash.xxh3_64_intdigest(task_id.encode()) for task_id in task_ids)
    return np.fromiter(digests, np.uint64, len(task_ids))


def _note(notes: list[str], what: str) -> None:
    if len(notes) < _KEPT:
        notes.append(what)
