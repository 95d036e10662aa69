"""One pass over a JSONL file, counting all that the proofs ask about it."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wmtp_assets.corpora.record_frame import RecordFrame
from wmtp_assets.corpora.rowindex import RowIndex, as_numpy

_BATCH = 8192
_KEPT = 5  # failures of a kind that are shown
_ABSENT = "absent"


@dataclass
class Survey:
    """What was found in a file: how much, and the first few things that were wrong."""

    rows: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    difficulties: Counter[Any] = field(default_factory=Counter)
    not_json: list[str] = field(default_factory=list)
    not_schema: list[str] = field(default_factory=list)
    not_index: list[str] = field(default_factory=list)
    without_tests: list[str] = field(default_factory=list)
    repeated_task_ids: int = 0
    digest: str = ""
    bytes: int = 0


def survey(jsonl: Path, frame: RecordFrame, tests_field: str | None, index: RowIndex) -> Survey:
    """Read every line of `jsonl`: hold it against `frame` and against its row of `index`."""
    found = Survey()
    digest = hashlib.sha256()
    task_ids: list[np.ndarray[Any, np.dtype[np.uint64]]] = []
    columns = ["is_correct", "difficulty", "offset", "length"]
    described = index.batches(columns, _BATCH)
    with jsonl.open("rb", buffering=1 << 20) as file:
        while lines := list(itertools.islice(file, _BATCH)):
            first = found.rows
            records: list[dict[str, Any]] = []
            places: list[int] = []
            for place, line in enumerate(lines, first):
                digest.update(line)
                record = _parsed(line)
                if record is None:
                    _note(found.not_json, f"line {place}: not a JSON object and one newline")
                    continue
                places.append(place)
                records.append(record)
                found.classes[_class_of(record)] += 1
                found.difficulties[_difficulty_of(record)] += 1
                if tests_field is not None and not record.get(tests_field):
                    _note(found.without_tests, f"line {place}: {tests_field}")
            for start, run in _runs(places, records):
                for failure in frame.failures(run, start):
                    _note(found.not_schema, failure)
            task_ids.append(_hashes(records))
            _compare(found, next(described, None), lines, dict(zip(places, records, strict=True)))
            found.rows += len(lines)
            found.bytes += sum(map(len, lines))
    if next(described, None) is not None:
        _note(found.not_index, f"the index goes on after line {found.rows - 1}")
    together = np.concatenate(task_ids) if task_ids else np.empty(0, np.uint64)
    found.repeated_task_ids = together.size - np.unique(together).size
    found.digest = digest.hexdigest()
    return found


def _compare(
    found: Survey, described: Any, lines: list[bytes], records: dict[int, dict[str, Any]]
) -> None:
    """Hold lines against the rows that describe them: place, class and difficulty."""
    first = found.rows
    if described is None or described.num_rows != len(lines):
        rows = 0 if described is None else described.num_rows
        _note(found.not_index, f"the index ends at line {first + rows}")
        return
    lengths = np.fromiter(map(len, lines), dtype=np.int64, count=len(lines))
    offsets = found.bytes + np.cumsum(lengths) - lengths
    wrong = (as_numpy(described["offset"]) != offsets) | (as_numpy(described["length"]) != lengths)
    for at in np.flatnonzero(wrong)[:_KEPT].tolist():
        _note(found.not_index, f"line {first + at}: offset or length")
    classes = described["is_correct"].to_pylist()
    difficulties = described["difficulty"].to_pylist()
    for place, record in records.items():
        at = place - first
        if record.get("is_correct") is not classes[at]:
            _note(found.not_index, f"line {place}: is_correct")
        if _difficulty_of(record) != difficulties[at]:
            _note(found.not_index, f"line {place}: difficulty")


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and line.endswith(b"}\n") else None


def _runs(
    places: list[int], records: list[dict[str, Any]]
) -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """Records in stretches of consecutive lines (there is one, unless a line did not parse)."""
    begin = 0
    for at in range(1, len(places) + 1):
        if at == len(places) or places[at] != places[at - 1] + 1:
            yield places[begin], records[begin:at]
            begin = at


def _class_of(record: dict[str, Any]) -> str:
    value = record.get("is_correct", _ABSENT)
    return (
        {True: "correct", False: "incorrect"}[value]
        if isinstance(value, bool)
        else (_ABSENT if value == _ABSENT else "not boolean")
    )


def _difficulty_of(record: dict[str, Any]) -> Any:
    metadata = record.get("metadata")
    value = metadata.get("difficulty", _ABSENT) if isinstance(metadata, dict) else _ABSENT
    return value if value is None or type(value) is int else _ABSENT


def _hashes(records: list[dict[str, Any]]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """64 bits a task id: millions of texts would not fit in memory, and a chance meeting is one in
    millions of millions."""
    digests = b"".join(
        hashlib.blake2b(str(record.get("task_id")).encode(), digest_size=8).digest()
        for record in records
    )
    return np.frombuffer(digests, dtype=np.uint64)


def _note(notes: list[str], what: str) -> None:
    if len(notes) < _KEPT:
        notes.append(what)
