"""The checks of the current contract's metadata file, computed from the lines it describes.

Class, difficulty and problem of each line are read from the lines, output tokens from the row
index, whose own checks count some of them again. The file is read once, beside what the lines ask
for; of one that differs, each part is compared by itself, and the first difference is named.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.file_set import stored_stats
from wmtp_assets.corpora.metadata_checks import MetadataFile
from wmtp_assets.corpora.problem_map import ProblemIndexMap, ProblemRows, problem_of
from wmtp_assets.corpora.problem_metadata import (
    PARTS,
    document_parts,
    entry_of,
    stats_of,
)
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.corpora.scanned_rows import LINES_OWN, LineFacts
from wmtp_assets.findings import AS_EXPECTED, Outcome, check, lazy
from wmtp_assets.storage.digests import sha256_file

_BLOCK = 1 << 20  # bytes
_PARSED = 64 << 20  # bytes of a file that is parsed whole where it is not what it should be
_SHOWN = 120  # characters
_KNOWN = 8192  # ends of lines that are remembered
_SHORT = 256  # bytes of one
_OUTLINED = 100  # entries and problems
_ENTRY, _PROBLEM = b"\n    {", b'\n    "'  # how an entry and a problem begin
_AGAIN = "Materialize the metadata again."
_OTHER_LAYOUT = "the same values, otherwise written than json.dump(indent=2) writes them"


@dataclass(frozen=True)
class _Compared:
    """By part of the document, its first difference from what the lines give (none: it has no
    key), as text; and the file's SHA-256."""

    differences: dict[str, str]
    sha256: str


class StoredProblemMetadata(MetadataFile):
    """The current contract's metadata file of a split."""

    @lazy
    def rows(self) -> ProblemRows:
        """What the lines require. Raises CorpusError, OSError, ValueError, KeyError."""
        jsonl = self.jsonl
        facts = self._facts() or line_facts(jsonl)
        index = RowIndex(jsonl.with_name(f"{jsonl.stem}.index.parquet"))
        tokens = index.column("output_tokens")
        if tokens.size != facts.is_correct.size:
            raise CorpusError(
                "The row index does not describe this JSONL file",
                expected=f"{facts.is_correct.size:,} rows",
                found=f"{tokens.size:,}",
                where=index.path,
                hint="Materialize the split again.",
            )
        return ProblemRows.of_runs(facts.is_correct, facts.difficulty, tokens, facts.problems)

    @lazy
    def stats(self) -> dict[str, object]:
        """The statistics of the lines."""
        return stats_of(self.rows)

    @lazy
    def compared(self) -> _Compared:
        """The file, read once, beside what the lines require."""
        wrong: dict[str, str] = {}
        digest = hashlib.sha256()
        expected: int | None = 0  # where the next part begins; unknown behind a difference
        with self.path.open("rb", buffering=_BLOCK) as file:
            for part, pieces in document_parts(self.rows):
                begin = _find(file, PARTS[part], expected or 0)
                if begin is None:
                    wrong[part] = "not where json.dump(indent=2) puts it"
                    expected = None
                    continue
                end, at = _read_beside(file, begin, pieces, digest.update)
                if at is not None:
                    wrong[part] = self._said(file, part, begin, at)
                elif expected is not None and begin > expected:
                    wrong[part] = f"{begin - expected:,} bytes before it that do not belong there"
                expected = end
            if not wrong and file.read(1):
                wrong["stats"] = f"more after its end, from byte {expected} on"
        return _Compared(wrong, sha256_file(self.path) if wrong else digest.hexdigest())

    def _said(self, file: BinaryIO, part: str, begin: int, at: int) -> str:
        """The difference at byte `at` of a part that begins at byte `begin`."""
        if part == "stats":
            return "other statistics"
        what, mark = ("entries", _ENTRY) if part == "metadata" else ("problems", _PROBLEM)
        wanted = next(pieces for name, pieces in document_parts(self.rows) if name == part)
        number, place = _last_mark(wanted, mark, at)
        if number < 0:
            return f"other text at byte {begin + at}"
        place += begin + len(mark) - 1  # of the entry's brace, or of the problem's name
        if part == "metadata":
            listed, expected = len(self.rows), entry_of(self.rows, number)
            found, end = _value_at(file, place)
            if not _same(found, expected):
                return f"entry {number}: expected {expected}, found {found!s:.{_SHOWN}}"
        else:
            listed, problem = len(self.rows.ids), self.rows.ids[number]
            found, end = _value_at(file, place)
            if found != problem:
                return f"problem {problem!r}: found {found!s:.{_SHOWN}} in its place"
            expected = ProblemIndexMap(self.rows)[problem]
            found, end = _value_at(file, end + len(": "))
            if not isinstance(found, dict):
                return f"problem {problem!r}: no JSON object"
            for key in (*expected, *found):
                one, other = (value.get(key, "nothing") for value in (expected, found))
                if not _same(one, other):
                    wanted_one, found_one = _first_unlike(one, other), _first_unlike(other, one)
                    return f"problem {problem!r}: {key}: expected {wanted_one}, found {found_one}"
        more = _text_at(file, end, 1) == b","
        if more and number == listed - 1:
            return f"more {what} than the {listed:,} that there are"
        if not more and number < listed - 1:
            return f"{number + 1:,} {what} in place of {listed:,}"
        return f"{_OTHER_LAYOUT}, from byte {begin + at} on"

    @property
    def outline(self) -> object:
        """The document, of which only some entries and problems where it is what the lines give:
        all others are written like them. None where it is not, and too large to be parsed."""
        if not self.compared.differences:
            rows = self.rows
            lines = np.unique(np.linspace(0, max(len(rows) - 1, 0), _OUTLINED).astype(np.int64))
            problems = ProblemIndexMap(rows)
            return {
                "metadata": [entry_of(rows, int(line)) for line in lines] if len(rows) else [],
                "problem_index_map": {name: problems[name] for name in problems.ids[:_OUTLINED]},
                "stats": self.stats,
            }
        if self.path.stat().st_size > _PARSED:
            return None
        return json.loads(self.path.read_bytes())


def check_problem_metadata(metadata: Path, jsonl: Path) -> list[Any]:
    """The checks of the current contract's metadata file of `jsonl`, its row index beside it.
    Raises what reading them raises."""
    stored = StoredProblemMetadata(metadata, lambda: jsonl)
    return [one.of(stored) for one in PROBLEM_METADATA_CHECKS]


@check("Entry i describes line i of the JSONL, for every i.")
def metadata_matches_lines(stored: StoredProblemMetadata) -> Outcome:
    wrong = stored.compared.differences.get("metadata")
    return Outcome(
        wrong is None,
        "entry i describes line i, for every i",
        AS_EXPECTED if wrong is None else wrong,
        str(stored.path),
        hint=_AGAIN,
    )


@check(
    "problem_index_map lists the lines of every problem by class, with the lengths of "
    "their outputs in tokens."
)
def problem_map_matches_lines(stored: StoredProblemMetadata) -> Outcome:
    wrong = stored.compared.differences.get("problem_index_map")
    return Outcome(
        wrong is None,
        "every problem in the order of its first line, with all of its lines",
        AS_EXPECTED if wrong is None else wrong,
        str(stored.path),
        hint=_AGAIN,
    )


@check("Its statistics agree with the lines.")
def metadata_stats_add_up(stored: StoredProblemMetadata) -> Outcome:
    said = stored.compared.differences.get("stats")
    if said is None:
        return Outcome(True, LINES_OWN, AS_EXPECTED, str(stored.path))
    expected, found = stored.stats, _stored_stats(stored.path)
    wrong = [
        name
        for name in sorted({*expected, *found})
        if json.dumps(found.get(name)) != json.dumps(expected.get(name)) or name not in found
    ]
    return Outcome(
        False,
        {name: expected.get(name) for name in wrong} or _OTHER_LAYOUT.partition(",")[0],
        {name: found.get(name) for name in wrong} or said,
        str(stored.path),
        hint=_AGAIN,
    )


PROBLEM_METADATA_CHECKS = (
    metadata_matches_lines,
    problem_map_matches_lines,
    metadata_stats_add_up,
)


def _stored_stats(path: Path) -> dict[str, Any]:
    try:
        return stored_stats(path)
    except CorpusError:
        return {}


# The file beside what it should be.


def _find(file: BinaryIO, text: bytes, begin: int) -> int | None:
    """Where `text` first occurs from byte `begin` on."""
    file.seek(begin)
    before, at = b"", begin
    while block := file.read(_BLOCK):
        window = before + block
        place = window.find(text)
        if place >= 0:
            return at - len(before) + place
        at += len(block)
        before = window[1 - len(text) :]
    return None


def _read_beside(
    file: BinaryIO, begin: int, pieces: Iterable[bytes], same: Callable[[bytes], None]
) -> tuple[int | None, int | None]:
    """Where the pieces end in the file, from byte `begin` on, and None; or None, and the number of
    bytes before the first one that differs. `same` gets those before it."""
    file.seek(begin)
    at = begin
    for piece in pieces:
        found = file.read(len(piece))
        if found != piece:
            pairs = enumerate(zip(piece, found, strict=False))
            least = min(len(piece), len(found))
            return None, at - begin + next((n for n, (a, b) in pairs if a != b), least)
        same(piece)
        at += len(piece)
    return at, None


def _last_mark(pieces: Iterator[bytes], mark: bytes, until: int) -> tuple[int, int]:
    """The number (from 0) and the place of the last `mark` that begins before byte `until`."""
    number, place, at, before = -1, 0, 0, b""
    for piece in pieces:
        window = before + piece
        first = at - len(before)
        found = window.find(mark)
        while found >= 0 and first + found < until:
            number, place = number + 1, first + found
            found = window.find(mark, found + 1)
        at += len(piece)
        if at >= until + len(mark):
            break
        before = window[1 - len(mark) :]
    return number, place


def _value_at(file: BinaryIO, at: int) -> tuple[object, int]:
    """The JSON value that begins at byte `at`, and where it ends; None where there is none."""
    size = _BLOCK
    while size <= _PARSED:
        data = _text_at(file, at, size)
        try:
            value, end = json.JSONDecoder().raw_decode(data.decode("ascii", errors="replace"))
            return value, at + end
        except ValueError:
            if len(data) < size:
                break
            size *= 4
    return None, at


def _text_at(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


def _same(one: object, other: object) -> bool:
    """Whether both are written alike: true is no 1, and the order of keys counts."""
    return json.dumps(one) == json.dumps(other)


def _first_unlike(value: Any, other: Any) -> str:
    """The value, or of two lists the first element that differs, with its place."""
    if isinstance(value, list) and isinstance(other, list):
        at = next(
            (at for at, pair in enumerate(zip(value, other, strict=False)) if pair[0] != pair[1]),
            min(len(value), len(other)),
        )
        return f"{value[at]!r:.{_SHOWN}} at {at}" if at < len(value) else f"{at} elements"
    return f"{value!r:.{_SHOWN}}"


# The lines, where nothing else read them.


def line_facts(jsonl: Path) -> LineFacts:
    """What the metadata says of every line, from the lines' ends alone.

    Raises ValueError, KeyError or TypeError where a line is no row.
    """
    is_correct, difficulty = array("b"), array("h")
    problems: list[tuple[int, str | None]] = []
    known: dict[tuple[bytes, bytes], tuple[int, int, str | None]] = {}
    with jsonl.open("rb", buffering=_BLOCK) as file:
        for number, line in enumerate(file):
            # Quotes within JSON text are escaped, so neither mark can be part of a text.
            at = line.rfind(b', "task_id": "') + 2
            end = line.find(b'", "', at + 12)
            key = line[at:end].rstrip(b"0123456789"), line[end:]
            fact = known.get(key) if line[end - 1 : end].isdigit() else None
            if fact is None:
                fact = _fact(json.loads(b"{" + line[at:]))
                if len(known) >= _KNOWN:
                    known.clear()
                if len(key[1]) <= _SHORT and line[end - 1 : end].isdigit():
                    known[key] = fact
            is_correct.append(fact[0])
            difficulty.append(fact[1])
            if not problems or problems[-1][1] != fact[2]:
                problems.append((number, fact[2]))
    return LineFacts(np.array(is_correct, np.int8), np.array(difficulty, np.int16), problems)


def _fact(row: dict[str, Any]) -> tuple[int, int, str | None]:
    difficulty = row["metadata"].get("difficulty")
    return (
        int(row.get("is_correct", -1)),
        -1 if difficulty is None else int(difficulty),
        problem_of(row["task_id"]),
    )
