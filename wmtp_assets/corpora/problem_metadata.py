"""`{split}_metadata.json` of the current contract: what `metadata` writes, and rows by problem.

    {"metadata":          [{"is_correct", "difficulty", "problem_id"}, ...],   entry i for line i
     "problem_index_map": {problem_id: {"difficulty", "correct_indices", "incorrect_indices",
                                        "correct_token_lengths", "incorrect_token_lengths"}, ...},
     "stats":             {total, correct, incorrect, difficulty_dist, has_is_correct,
                           has_difficulty, has_problem_id, n_problems, n_valid_problems,
                           total_possible_pairs}}

Problems are those of `problem_map`. Indices are line numbers from 0, token lengths those of the
output without a BOS; a problem without a difficulty has null. What a row does not have is left out
of its entry, and the `has_` of a split says whether every row has it; a split without rows has
nothing. A valid problem has rows of both classes, each with each a pair.

Byte for byte what `json.dump(document, file, indent=2)` of the standard library writes, without a
Python object for each of millions of rows.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wmtp_assets.corpora.metadata import MetadataText
from wmtp_assets.corpora.problem_map import CLASSES, ProblemRows, problem_entry
from wmtp_assets.corpora.row_index import RowIndex
from wmtp_assets.storage.atomic import atomic_write

_AT_ONCE = 8192  # entries or numbers that are made into text together
_PIECE = 1 << 20  # bytes

PARTS: Final = {
    "metadata": b'{\n  "metadata": [',
    "problem_index_map": b'\n  "problem_index_map": {',
    "stats": b'\n  "stats": {',
}
"""How each part of the document begins; no text within it can hold a line break."""


def document_parts(rows: ProblemRows) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The bytes of the document by `PARTS`, each in pieces of a megabyte at most, about."""
    yield "metadata", _pieces(_entries(rows))
    yield "problem_index_map", _pieces(_problems(rows))
    stats = json.dumps({"stats": stats_of(rows)}, indent=2)
    yield "stats", iter([stats[1:].encode("ascii")])


def _entries(rows: ProblemRows) -> Iterator[bytes]:
    """Entries of neighbouring lines are mostly the same: the lines of one class of one problem."""
    changes = np.zeros(len(rows), np.bool_)
    changes[:1] = True
    for values in (rows.problem, rows.is_correct, rows.difficulty):
        changes[1:] |= values[1:] != values[:-1]
    begins = np.flatnonzero(changes)
    lengths = np.diff(begins, append=len(rows)).tolist()
    facts = (rows.problem, rows.is_correct, rows.difficulty)
    texts: dict[tuple[int, int, int], bytes] = {}
    yield PARTS["metadata"]
    opening = b"\n"
    for length, *fact in zip(lengths, *(values[begins].tolist() for values in facts), strict=True):
        key = tuple(fact)
        if key not in texts:
            if len(texts) >= _AT_ONCE:
                texts.clear()  # those of problems that are past
            texts[key] = _entry(rows, *key)
        yield opening
        yield from _repeated(texts[key], length)
        opening = b",\n"
    yield b"\n  ]," if len(rows) else b"],"


def _entry(rows: ProblemRows, problem: int, is_correct: int, difficulty: int) -> bytes:
    entry = _facts(rows, problem, is_correct, difficulty)
    lines = json.dumps(entry, indent=2).split("\n")
    return "\n".join("    " + line for line in lines).encode("ascii")


def _facts(rows: ProblemRows, problem: int, is_correct: int, difficulty: int) -> dict[str, object]:
    """An entry; -1 stands for what a row does not have."""
    entry: dict[str, object] = {}
    if is_correct >= 0:
        entry["is_correct"] = bool(is_correct)
    if difficulty >= 0:
        entry["difficulty"] = difficulty
    if problem >= 0:
        entry["problem_id"] = rows.ids[problem]
    return entry


def entry_of(rows: ProblemRows, line: int) -> dict[str, object]:
    """The entry of a line."""
    facts = (rows.problem, rows.is_correct, rows.difficulty)
    return _facts(rows, *(int(values[line]) for values in facts))


def _repeated(text: bytes, times: int) -> Iterator[bytes]:
    """`text`, so many times, with commas between."""
    step = max(1, _PIECE // len(text))
    for begin in range(0, times, step):
        some = min(step, times - begin)
        yield (b",\n" + text) * some if begin else text + (b",\n" + text) * (some - 1)


def _problems(rows: ProblemRows) -> Iterator[bytes]:
    lines, begins = rows.grouped()
    yield PARTS["problem_index_map"]
    opening = "\n    "
    for name, (begin, end) in zip(rows.ids, itertools.pairwise(begins.tolist()), strict=True):
        entry = problem_entry(rows, lines[begin:end])
        yield f"{opening}{json.dumps(name)}: {{".encode("ascii")
        opening = ",\n    "
        yield f'\n      "difficulty": {json.dumps(entry.pop("difficulty"))}'.encode("ascii")
        for key, numbers in entry.items():
            yield f',\n      "{key}": ['.encode("ascii")
            yield from _numbers(numbers)
            yield b"]"
        yield b"\n    }"
    yield b"\n  }," if rows.ids else b"},"


def _numbers(numbers: NDArray[Any]) -> Iterator[bytes]:
    opening = "\n        "
    for begin in range(0, numbers.size, _AT_ONCE):
        texts = map(str, numbers[begin : begin + _AT_ONCE].tolist())
        yield (opening + ",\n        ".join(texts)).encode("ascii")
        opening = ",\n        "
    if numbers.size:
        yield b"\n      "


def _pieces(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in larger pieces: a write and a digest cost more than to join them."""
    waiting: list[bytes] = []
    size = 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= _PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def stats_of(rows: ProblemRows) -> dict[str, object]:
    """The statistics: those of the first phase's file, then what the map adds."""
    text = MetadataText()
    for begin in range(0, len(rows), _AT_ONCE):
        some = slice(begin, begin + _AT_ONCE)
        text.count(rows.is_correct[some], rows.difficulty[some])
    in_problem = rows.problem >= 0
    by_class = [
        np.bincount(rows.problem[in_problem & (rows.is_correct == value)], minlength=len(rows.ids))
        for _, value in CLASSES
    ]
    pairs = by_class[0].astype(np.int64) * by_class[1]
    return {
        **text.stats(),
        "has_is_correct": bool(len(rows) and (rows.is_correct >= 0).all()),
        "has_difficulty": bool(len(rows) and (rows.difficulty >= 0).all()),
        "has_problem_id": bool(len(rows) and in_problem.all()),
        "n_problems": len(rows.ids),
        "n_valid_problems": int(np.count_nonzero(pairs)),
        "total_possible_pairs": int(pairs.sum()),
    }


def is_document_of(path: Path, rows: ProblemRows) -> bool:
    """Whether the file holds the document of these rows, byte for byte, and no more."""
    with path.open("rb", buffering=_PIECE) as file:
        every = itertools.chain.from_iterable(pieces for _, pieces in document_parts(rows))
        return all(file.read(len(piece)) == piece for piece in every) and not file.read(1)


def write_problem_metadata(index: Path, jsonl: Path, out: Path) -> dict[str, object]:
    """Write the current contract's metadata of the rows in `jsonl`, which `index` describes, to
    the file `out`.

    Returns {"sha256", "bytes", "stats"}. Raises CorpusError if the two do not belong together.
    """
    rows = ProblemRows.of_index(RowIndex(index), jsonl)
    digest = hashlib.sha256()
    size = 0
    with atomic_write(out) as file:
        for _, pieces in document_parts(rows):
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
    return {"sha256": digest.hexdigest(), "bytes": size, "stats": stats_of(rows)}
