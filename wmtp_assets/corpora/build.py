"""The builds: upstream's shards of one split become its JSONL, row index and statistics."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from . import records
from .crew import format_in_order
from .errors import CorpusError
from .records import Problem
from .report import SplitReport
from .shards import count_problems, read_codecontests, read_humaneval, read_mbpp
from .writer import SplitWriter

MAX_TOKENS = 2048
_UNIT_BYTES = 300_000  # text of problems formatted together: enough to batch, small enough to cache
_UNIT_LINES = 3_000_000  # bytes of the lines that a unit makes: many short solutions make long ones
_REPORT_EVERY = 10.0  # seconds

Progress = Callable[[str], None]


def build_codecontests(
    shards: Sequence[Path],
    tokenizer: Path,
    out: Path,
    split: str,
    max_tokens: int = MAX_TOKENS,
    processes: int | None = None,
    progress: Progress | None = None,
) -> SplitReport:
    """Write {split}.jsonl, {split}.index.parquet and {split}_stats.json into the folder `out`.

    Takes the Python 2 and 3 solutions of upstream's `shards`, given in upstream's order, and keeps
    the rows of at most `max_tokens` tokens by the SentencePiece model at `tokenizer`. `processes`
    None uses every core where the split is large enough to pay for starting them; the bytes are the
    same for any number. `progress` gets a line of text every ten seconds.

    Raises CorpusError if a shard is not what upstream publishes.
    """
    problems = read_codecontests(shards)
    name = records.CODECONTESTS
    return _build(name, problems, shards, tokenizer, out, split, max_tokens, processes, progress)


def build_mbpp(
    shards: Sequence[Path],
    tokenizer: Path,
    out: Path,
    split: str,
    max_tokens: int = MAX_TOKENS,
    progress: Progress | None = None,
) -> SplitReport:
    """The same for mbpp: one row a task, with its tests and without a class."""
    problems = read_mbpp(shards)
    return _build(records.MBPP, problems, shards, tokenizer, out, split, max_tokens, 1, progress)


def build_humaneval(
    shards: Sequence[Path],
    tokenizer: Path,
    out: Path,
    split: str,
    max_tokens: int = MAX_TOKENS,
    progress: Progress | None = None,
) -> SplitReport:
    """The same for humaneval: one row a task, with its test and without a class."""
    problems = read_humaneval(shards)
    name = records.HUMANEVAL
    return _build(name, problems, shards, tokenizer, out, split, max_tokens, 1, progress)


def _build(
    dataset: str,
    problems: Iterable[Problem],
    shards: Sequence[Path],
    tokenizer: Path,
    out: Path,
    split: str,
    max_tokens: int,
    processes: int | None,
    progress: Progress | None,
) -> SplitReport:
    if not shards:
        raise CorpusError(
            f"No shards were given for {dataset} {split}",
            expected="at least one parquet file",
            mend="Fetch the dataset first.",
        )
    expected = count_problems(shards)
    tokenizer_digest = hashlib.sha256(tokenizer.read_bytes()).hexdigest()
    done = 0
    begun = reported = time.monotonic()
    with SplitWriter(out, dataset, split) as writer:
        for block in format_in_order(_units(problems), tokenizer, max_tokens, processes):
            writer.add(block)
            done += block.funnel["problems"]
            now = time.monotonic()
            if progress is not None and now - reported >= _REPORT_EVERY:
                reported = now
                left = (now - begun) * (expected - done) / done
                progress(
                    f"{dataset} {split}: {done:,} of {expected:,} problems, {writer.rows:,} rows, "
                    f"{writer.bytes / 1e9:.2f} GB, about {left:.0f} s left"
                )
        return writer.finish({"max_tokens": max_tokens, "tokenizer_sha256": tokenizer_digest})


def _units(problems: Iterable[Problem]) -> Iterator[list[Problem]]:
    unit: list[Problem] = []
    text = lines = 0
    for problem in problems:
        unit.append(problem)
        shared = len(problem.instruction) + len(problem.input)
        text += shared
        for solutions in problem.solutions:
            size = sum(map(len, filter(None, solutions.texts)))
            text += size
            lines += size + shared * len(solutions.texts)
        if text >= _UNIT_BYTES or lines >= _UNIT_LINES:
            yield unit
            unit, text, lines = [], 0, 0
    if unit:
        yield unit
