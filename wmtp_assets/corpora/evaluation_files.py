"""What evaluation reads of a split's problems, written one problem at a time.

    {split}_eval.jsonl       a line per problem: statement, facts and tests
    {split}_tests.json       one object: every problem's tests by its name
    {split}_tests.parquet    the same tests, a row per problem (see `tests_file`)

Each line of the first is `json.dumps(record, ensure_ascii=False)` of the standard library and one
newline; the second is `json.dumps(document, ensure_ascii=False)`, without one. So non-ASCII is as
it is, in UTF-8, in both: tests are digits mostly, and one rule serves both files.

The tests of a large split are gigabytes, so no document is ever in memory: its text is made piece
by piece, digested as it is written, and gets its name when all of it is there.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import pyarrow as pa

from wmtp_assets.corpora.evaluation import EvaluationSource, ProblemTests
from wmtp_assets.corpora.tests_file import TestsWriter
from wmtp_assets.progress import following
from wmtp_assets.storage.atomic import atomic_write

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_TEXTS_AT_ONCE = 16  # tests that are text in memory beside Arrow's: the largest have megabytes
# Control characters whose escapes are rare in tests; the others are replaced in C, at some GB/s.
_RARE: Final = bytes(set(range(32)) - {ord("\n")})


@dataclass(frozen=True)
class Written:
    """SHA-256 of the files that were written, by name, and what was counted: `problems`, the tests
    of each sort, and `texts_repaired`, which were not UTF-8."""

    files: Mapping[str, str]
    counts: Mapping[str, int]


def write_evaluation(
    source: EvaluationSource,
    shards: Sequence[Path],
    out: Path | None,
    split: str,
    log: Callable[[str], None] | None = None,
) -> Written:
    """Write {split}_eval.jsonl into the folder `out`, from upstream's `shards` in their order.

    Where `out` is None it is digested only. `log` gets a line about progress every ten seconds.
    Raises CorpusError if a shard is not what upstream publishes.
    """
    name = f"{split}_eval"
    counts = _Counts(source)
    with nullcontext() if out is None else atomic_write(out / f"{name}.jsonl") as file:
        stream = Digested(file)
        for problem in counts.of(_followed(source, shards, name, log)):
            for piece in evaluation_line(problem):
                stream.write(piece)
    return Written({f"{name}.jsonl": stream.sha256}, counts.found)


def write_tests(
    source: EvaluationSource,
    shards: Sequence[Path],
    out: Path | None,
    split: str,
    log: Callable[[str], None] | None = None,
) -> Written:
    """Write {split}_tests.json and {split}_tests.parquet into the folder `out`, as
    `write_evaluation` does. Where `out` is None the JSON is digested, and no Parquet file made."""
    name = f"{split}_tests"
    counts = _Counts(source)
    with (
        nullcontext() if out is None else atomic_write(out / f"{name}.json") as file,
        nullcontext() if out is None else atomic_write(out / f"{name}.parquet") as beside,
    ):
        stream = Digested(file)
        columns = None if beside is None else Digested(beside)
        table = None if columns is None else TestsWriter(columns, source.tests)
        for problem in counts.of(_followed(source, shards, name, log)):
            stream.write(b"{" if counts.found["problems"] == 1 else b", ")
            for piece in tests_entry(problem):
                stream.write(piece)
            if table is not None:
                table.add(problem)
        stream.write(b"}" if counts.found["problems"] else b"{}")
        files = {f"{name}.json": stream.sha256}
        if table is not None and columns is not None:
            json_file = {"sha256": stream.sha256, "bytes": stream.size}
            table.close({"split": split, "counts": counts.found, "json": json_file})
            files[f"{name}.parquet"] = columns.sha256
    return Written(files, counts.found)


def evaluation_line(problem: ProblemTests) -> Iterator[bytes]:
    """A problem's line, in pieces."""
    head = {"task_id": problem.name, "instruction": problem.instruction, "input": ""}
    facts = json.dumps(problem.facts, ensure_ascii=False)[:-1]
    text = f'{json.dumps(head, ensure_ascii=False)[:-1]}, "metadata": {facts}'
    yield text.encode()
    for at, piece in enumerate(_tests(problem.tests)):
        yield b", " if at or problem.facts else b""
        yield from piece
    yield b"}}\n"


def tests_entry(problem: ProblemTests) -> Iterator[bytes]:
    """A problem's member of the tests document, in pieces: its name and its object."""
    name = json.dumps(problem.name, ensure_ascii=False)
    yield f'{name}: {{"task_name": {name}'.encode()
    for piece in _tests(problem.tests):
        yield b", "
        yield from piece
    yield b"}"


def _tests(tests: Mapping[str, Mapping[str, pa.StringArray]]) -> Iterator[Iterator[bytes]]:
    """The members of an object, one for each sort of tests."""
    for sort, sides in tests.items():
        yield _sides(sort, sides)


def _sides(sort: str, sides: Mapping[str, pa.StringArray]) -> Iterator[bytes]:
    yield f"{json.dumps(sort)}: ".encode()
    opening = b"{"
    for side, texts in sides.items():
        yield opening + f'"{side}": ['.encode()
        yield from _list(texts)
        yield b"]"
        opening = b", "
    yield b"}"


def _list(texts: pa.StringArray) -> Iterator[bytes]:
    for begin in range(0, len(texts), _TEXTS_AT_ONCE):
        some = texts.slice(begin, _TEXTS_AT_ONCE).view(pa.binary()).to_pylist()
        yield (b", " if begin else b"") + b", ".join(map(quoted, some))


def quoted(text: bytes) -> bytes:
    """UTF-8 as `json.dumps(text, ensure_ascii=False)` writes it; three times as fast for tests."""
    if len(text.translate(None, _RARE)) != len(text):
        return json.encoder.encode_basestring(text.decode()).encode()
    escaped = text.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
    return b'"%b"' % escaped


def _followed(
    source: EvaluationSource,
    shards: Sequence[Path],
    what: str,
    log: Callable[[str], None] | None,
) -> Iterator[ProblemTests]:
    """The problems, with their progress."""
    files = source.opened(shards)
    expected = sum(file.rows for file in files)
    with following(what, expected, log or _unsaid, "problems") as at:
        for number, problem in enumerate(source.problems(files), 1):
            yield problem
            at(number)


def _unsaid(_: str) -> None:
    """Used where no progress is requested."""


class _Counts:
    """What goes by."""

    def __init__(self, source: EvaluationSource) -> None:
        self.found: Counter[str] = Counter(
            dict.fromkeys(("problems", *source.tests, "texts_repaired"), 0)
        )

    def of(self, problems: Iterable[ProblemTests]) -> Iterator[ProblemTests]:
        for problem in problems:
            self.found["problems"] += 1
            self.found["texts_repaired"] += problem.repaired
            for sort, sides in problem.tests.items():
                self.found[sort] += len(sides["input"])
            yield problem


class Digested(io.BufferedIOBase):
    """A stream that digests what it hands on to `file`; None keeps nothing."""

    def __init__(self, file: BinaryIO | None) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Of all bytes so far, in hex."""
        return self._digest.hexdigest()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, data: ReadableBuffer, /) -> int:
        view = memoryview(data)
        if self._file is not None:
            self._file.write(view)
        self._digest.update(view)
        self.size += view.nbytes
        return view.nbytes
