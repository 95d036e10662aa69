"""Whether a JSONL file, its metadata and its row index belong together.

The index names size and digest of the first phase's metadata file. Of today's, recognized by the
statistics at its end, it names none: that file follows from the index and the lines, and is
compared with what they give.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from wmtp_assets.corpora import records
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.problem_map import ProblemRows
from wmtp_assets.corpora.problem_metadata import is_document_of
from wmtp_assets.corpora.row_index import RowIndex

BAD_FLAGS = records.REPAIRED | records.EMPTY_OUTPUT | records.EMPTY_INSTRUCTION
_TAIL = 1 << 14  # bytes at a metadata file's end that hold its statistics
_HINT = "Materialize the split again."


def json_object(path: Path) -> dict[str, Any]:
    """The JSON object that a file is. Raises `OSError`, or ValueError where it is none."""
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise ValueError(f"{path} is not a JSON object")
    return found


def check_quickly(jsonl: Path, metadata: Path, index: RowIndex) -> None:
    """Compare sizes, the metadata's statistics, and the first and last line with the index.

    The metadata file may be absent: nothing here reads it, its reader brings its own. Raises
    CorpusError naming what does not belong. Microseconds, whatever the size.
    """
    _check_size(jsonl, int(index.facts["jsonl"]["bytes"]), index)
    if metadata.exists():
        if not _is_current(metadata):
            _check_size(metadata, int(index.facts["metadata"]["bytes"]), index)
        _check_total(metadata, len(index), index)
    if len(index):
        _check_ends(jsonl, index)


def check_digests(jsonl: Path, metadata: Path, index: RowIndex) -> None:
    """Read both files whole and compare with the index. Raises CorpusError naming the file."""
    digested = [(jsonl, index.facts["jsonl"])]
    current = metadata.exists() and _is_current(metadata)
    if metadata.exists() and not current:
        digested.append((metadata, index.facts["metadata"]))
    for path, facts in digested:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != facts["sha256"]:
            raise CorpusError(
                f"{path.name} is not the file that its row index was made for",
                expected=f"SHA-256 {facts['sha256']}",
                found=found,
                where=path,
                hint=_HINT,
            )

    if current and not is_document_of(metadata, ProblemRows.of_index(index, jsonl)):
        raise CorpusError(
            f"{metadata.name} is not what its rows give",
            expected="an entry per line, and the lines of every problem",
            found="something else",
            where=metadata,
            hint="Materialize the metadata again.",
        )


def stored_stats(metadata: Path) -> dict[str, Any]:
    """The statistics at the end of a metadata file. Raises CorpusError where there are none."""
    with metadata.open("rb") as file:
        file.seek(-min(_TAIL, metadata.stat().st_size), os.SEEK_END)
        tail = file.read()
    try:
        stats: dict[str, Any] = json.loads(b"{" + tail[tail.rindex(b'"stats"') :])["stats"]
        stats["total"]
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError("The metadata has no statistics", where=metadata, hint=_HINT) from error
    return stats


def _is_current(metadata: Path) -> bool:
    return "n_problems" in stored_stats(metadata)


def _check_size(path: Path, expected: int, index: RowIndex) -> None:
    try:
        found = path.stat().st_size
    except FileNotFoundError as error:
        raise CorpusError("A corpus is not complete", where=path, hint=_HINT) from error
    if found != expected:
        raise _of_another(path, index, f"{expected:,} bytes", f"{found:,} bytes")


def _check_total(metadata: Path, rows: int, index: RowIndex) -> None:
    total = stored_stats(metadata)["total"]
    if total != rows:
        raise _of_another(metadata, index, f"{rows:,} entries", f"{total:,}")


def _check_ends(jsonl: Path, index: RowIndex) -> None:
    """The first and the last row group's ends must be lines of the class that the index says."""
    with jsonl.open("rb") as file:
        for row, offset, length, is_correct in index.ends():
            file.seek(offset)
            line = file.read(length)
            try:
                found = json.loads(line).get("is_correct") if line.endswith(b"}\n") else "no line"
            except ValueError:
                found = "no line"
            if found is not is_correct:
                expected = f"is_correct {is_correct} in line {row}"
                raise _of_another(jsonl, index, expected, str(found))


def _of_another(path: Path, index: RowIndex, expected: str, found: str) -> CorpusError:
    return CorpusError(
        f"{path.name} does not belong to {index.path.name}",
        expected=expected,
        found=found,
        where=path,
        hint=_HINT,
    )
