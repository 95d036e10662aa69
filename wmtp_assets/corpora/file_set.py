"""Whether a JSONL file, its metadata and its row index belong together."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from wmtp_assets.corpora import records
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.row_index import RowIndex

BAD_FLAGS = records.REPAIRED | records.EMPTY_OUTPUT | records.EMPTY_INSTRUCTION
_TAIL = 4096  # bytes at a metadata file's end that hold its statistics
_HINT = "Materialize the split again."


def check_quickly(jsonl: Path, metadata: Path, index: RowIndex) -> None:
    """Compare sizes, the metadata's statistics, and the first and last line with the index.

    The metadata file may be absent: nothing here reads it, its reader brings its own. Raises
    CorpusError naming what does not belong. Microseconds, whatever the size.
    """
    _check_size(jsonl, int(index.facts["jsonl"]["bytes"]), index)
    if metadata.exists():
        _check_size(metadata, int(index.facts["metadata"]["bytes"]), index)
        _check_total(metadata, len(index), index)
    if len(index):
        _check_ends(jsonl, index)


def check_digests(jsonl: Path, metadata: Path, index: RowIndex) -> None:
    """Digest both files whole and compare with the index. Raises CorpusError naming the file."""
    for path, facts in ((jsonl, index.facts["jsonl"]), (metadata, index.facts["metadata"])):
        if path == metadata and not path.exists():
            continue
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


def _check_size(path: Path, expected: int, index: RowIndex) -> None:
    try:
        found = path.stat().st_size
    except FileNotFoundError as error:
        raise CorpusError("A corpus is not complete", where=path, hint=_HINT) from error
    if found != expected:
        raise _of_another(path, index, f"{expected:,} bytes", f"{found:,} bytes")


def _check_total(metadata: Path, rows: int, index: RowIndex) -> None:
    with metadata.open("rb") as file:
        file.seek(-min(_TAIL, metadata.stat().st_size), os.SEEK_END)
        tail = file.read()
    try:
        stats = json.loads(b"{" + tail[tail.rindex(b'"stats"') :])
        total = stats["stats"]["total"]
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError("The metadata has no statistics", where=metadata, hint=_HINT) from error
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
