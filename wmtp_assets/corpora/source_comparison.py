"""Whether a split holds what upstream published: its rows compared with the source's shards.

A small source is compared whole, row for row, with rows made the plain way (`source_rows`).
Of a large one every row of the index is compared with its problem's facts, and the rows of some
problems, drawn at random in each run, are compared with the plain ones. What a sample does not find
(a few rows changed among millions, with index, statistics, metadata and receipts resealed) is found
by `check_rebuilt`, which builds the split again and compares digests; what changes the fetched
shards and assets.lock as well is found only by a digest that the catalog pins, or a signature.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from wmtp_assets.corpora.build import build_split
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.funnel import ENDINGS
from wmtp_assets.corpora.report import SplitReport
from wmtp_assets.corpora.row_index import RowIndex, as_numpy
from wmtp_assets.corpora.small_copy import select_small
from wmtp_assets.corpora.source_rows import COLUMNS, SourceProblem, SourceRow, SourceRows
from wmtp_assets.findings import Finding
from wmtp_assets.storage.digests import cores, sha256_file
from wmtp_assets.storage.scratch import scratch_folder

SMALL_SOURCE = 64 << 20
"""Bytes of all shards up to which every row is compared: code_contests' valid and test files (51
and 63 MB) and the evaluation sets; some thousand rows per second are made the plain way."""
SAMPLED_GROUPS = 2  # row groups of a large source that are decoded: one holds 340 problems
SAMPLED_PROBLEMS = 24  # problems drawn in each of them, some 280 rows per problem
NAME = "rows_equal_source"
_SHOWN = 5
_AGAIN = "Materialize the split again."


@dataclass(frozen=True)
class SplitSource:
    """What a split is made from: upstream's `shards` in order, and the build's settings."""

    format: DatasetFormat
    split: str
    shards: Sequence[Path]
    tokenizer: Path
    max_tokens: int


@dataclass
class _Compared:
    """What was compared: how many rows and problems, and the first few differences."""

    rows: int = 0
    problems: int = 0
    different: list[str] = field(default_factory=list)

    def note(self, what: str) -> bool:
        """Notes a difference; False once there are enough."""
        self.different.append(what)
        return len(self.different) < _SHOWN


def check_source(jsonl: Path, source: SplitSource, seed: int | None = None) -> Finding:
    """Compare a split (`jsonl`, its row index and statistics beside it) with its source.

    `seed` draws the sample of a large source; None is a fresh one, which the finding reports.
    """
    seed = secrets.randbits(48) if seed is None else seed
    small = sum(shard.stat().st_size for shard in source.shards) <= SMALL_SOURCE
    compared, how, drawn = _Compared(), "", ""
    try:
        index = RowIndex(_beside(jsonl, ".index.parquet"))
        stats = json.loads(_beside(jsonl, "_stats.json").read_bytes())
        given = SourceRows(source.format, source.shards, source.tokenizer, source.max_tokens)
        compared.different += _unlike_stated(source, index, stats)
        if small:
            how = "all of them"
            funnel = _compare_all(jsonl, index, given, compared)
            compared.different += _unlike_funnel(stats.get("funnel", {}), funnel)
        else:
            drawn = f" (drawn with seed {seed})"
            how = f"a sample of {given.problems:,}{drawn}"
            _compare_index(index, given, compared)
            if not compared.different:  # the sample is found by the index's problems
                _compare_sample(jsonl, index, given, random.Random(seed), compared)  # noqa: S311
    except (CorpusError, OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        compared.note(f"{type(error).__name__}: {error}")
    said = f"{compared.rows:,} rows of {compared.problems:,} problems ({how}) as upstream has them"
    return Finding(
        NAME,
        not compared.different,
        "the rows that upstream's shards give, in their order",
        "; ".join(compared.different[:_SHOWN]) + drawn if compared.different else said,
        str(jsonl),
        hint=_AGAIN if compared.different else "",
        details={"seed": seed, "rows": compared.rows, "problems": compared.problems},
    )


def _unlike_stated(source: SplitSource, index: RowIndex, stats: dict[str, Any]) -> list[str]:
    """What index and statistics say of how they were made, where that is otherwise."""
    digest = hashlib.sha256(source.tokenizer.read_bytes()).hexdigest()
    wanted = {
        "dataset": source.format.label,
        "split": source.split,
        "max_tokens": source.max_tokens,
        "tokenizer_sha256": digest,
        "rows": len(index),
    }
    others = sorted(index.facts.keys() - wanted.keys() - {"jsonl", "metadata"})
    unknown = [f"the index says further: {', '.join(others)}"] if others else []
    return unknown + [
        f"{place} says {name} {said.get(name)!r}, not {value!r}"
        for place, said in (("the index", index.facts), ("the statistics", stats))
        for name, value in wanted.items()
        if said.get(name) != value
    ]


def _unlike_funnel(stated: dict[str, int], found: Counter[str]) -> list[str]:
    """Counts of the funnel that are not those of the source."""
    stated = dict(stated)
    for ending in ENDINGS:
        stated[f"too_long{ending}"] = sum(
            stated.pop(f"{name}{ending}", 0) for name in ("too_long_by_bound", "too_long_by_count")
        )
    return [
        f"funnel.{name} is {stated.get(name, 0)}, not {found[name]}"
        for name in sorted(stated.keys() | found.keys())
        if stated.get(name, 0) != found[name]
    ]


def _compare_all(
    jsonl: Path, index: RowIndex, given: SourceRows, compared: _Compared
) -> Counter[str]:
    """Every line and every row of the index, in order; returns the source's funnel."""
    funnel: Counter[str] = Counter()
    facts = _facts(index)
    with jsonl.open("rb") as lines:
        for problem in given.every():
            compared.problems += 1
            funnel.update(problem.funnel)
            for row in problem.rows:
                line, stored = lines.readline(), next(facts, ())
                what = f"line {compared.rows} (problem {problem.ordinal})"
                if _differs(what, row, line, stored, compared):
                    return funnel
                compared.rows += 1
        more = sum(1 for _ in lines), sum(1 for _ in facts)
    if any(more):
        compared.note(f"{more[0]} lines and {more[1]} index rows beyond those of the source")
    return funnel


def _facts(index: RowIndex) -> Iterator[tuple[Any, ...]]:
    for batch in index.batches(COLUMNS):
        yield from zip(*(batch[name].to_pylist() for name in COLUMNS), strict=True)


def _differs(
    what: str, row: SourceRow, line: bytes, facts: tuple[Any, ...], compared: _Compared
) -> bool:
    """Notes how a stored row differs from the source's; True once there are enough notes."""
    if line != row.line and not compared.note(f"{what}: {_first_difference(row.line, line)}"):
        return True
    if facts != row.facts:
        unlike = [
            f"{name} is {stored}, not {wanted}"
            for name, stored, wanted in zip(COLUMNS, facts, row.facts, strict=False)
            if stored != wanted
        ]
        return not compared.note(f"{what} in the index: {', '.join(unlike) or 'missing'}")
    return False


def _first_difference(wanted: bytes, found: bytes) -> str:
    if not found:
        return "missing"
    try:
        one, other = json.loads(wanted), json.loads(found)
        names = [name for name in one if one[name] != other.get(name)]
    except (ValueError, AttributeError):
        return "not a row"
    return f"other {', '.join(names)} than upstream's" if names else "other bytes of equal values"


def _compare_index(index: RowIndex, given: SourceRows, compared: _Compared) -> None:
    """Every row of the index with its problem's facts, and the order of problems and classes."""
    wanted = {
        name: np.array(values, np.int64)
        for name, values in given.format.index_numbers(given.column).items()
    }
    last = -1
    row = 0
    for batch in index.batches(["problem", "is_correct", *wanted]):
        problem = as_numpy(batch["problem"]).astype(np.int64)
        # Correct solutions come before incorrect ones.
        order = 2 * problem + (as_numpy(batch["is_correct"]) != 1)
        if problem.size and not 0 <= problem.min() <= problem.max() < given.problems:
            compared.note(f"a problem that upstream does not have, near line {row}")
            return
        wrong = np.flatnonzero(np.diff(order, prepend=last) < 0)
        if wrong.size and not compared.note(f"line {row + wrong[0]}: problems out of order"):
            return
        for name, values in wanted.items():
            unlike = np.flatnonzero(as_numpy(batch[name]) != values[problem])
            if unlike.size and not compared.note(f"line {row + unlike[0]} in the index: {name}"):
                return
        last = int(order[-1]) if order.size else last
        row += problem.size


def _compare_sample(
    jsonl: Path, index: RowIndex, given: SourceRows, draw: random.Random, compared: _Compared
) -> None:
    """The rows of some problems, in a few row groups."""
    of_row = index.column("problem")
    groups = [group for group in given.groups if group[3]]
    sampled = draw.sample(groups, min(SAMPLED_GROUPS, len(groups)))
    wanted = [
        set(draw.sample(range(first, first + count), min(SAMPLED_PROBLEMS, count)))
        for _, _, first, count in sampled
    ]
    fd = os.open(jsonl, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with ThreadPoolExecutor(cores()) as pool:
            decoded = pool.map(given.drawn, sampled, wanted)
            for ordinal, raw in itertools.chain.from_iterable(decoded):
                problem = given.problem(ordinal, raw)
                begin, end = np.searchsorted(of_row, [ordinal, ordinal + 1])
                if not _compare_problem(fd, index, problem, int(begin), int(end), compared):
                    return
    finally:
        os.close(fd)


def _compare_problem(
    fd: int, index: RowIndex, problem: SourceProblem, begin: int, end: int, compared: _Compared
) -> bool:
    """The rows `begin`..`end` of the index, which are said to be all rows of `problem`."""
    compared.problems += 1
    stored = _rows_between(index, begin, end)
    for place, (row, facts) in enumerate(itertools.zip_longest(problem.rows, stored), begin):
        what = f"line {place} (problem {problem.ordinal})"
        if row is None:
            if not compared.note(f"{what}: not of upstream"):
                return False
            continue
        line = b"" if facts is None else os.pread(fd, facts[-1], facts[-2])
        if _differs(what, row, line, () if facts is None else facts[:-2], compared):
            return False
        compared.rows += 1
    return True


def _rows_between(index: RowIndex, begin: int, end: int) -> list[tuple[Any, ...]]:
    table = index.rows(begin, end, [*COLUMNS, "offset", "length"])
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


# Built again.


def check_rebuilt(
    jsonl: Path, source: SplitSource, metadata: Path | None = None, processes: int | None = None
) -> Finding:
    """Build the split again from its source at full speed, and compare JSONL, index, statistics and
    (where given) the contract's metadata file.

    Lines are hashed as they are made and written nowhere; the row index goes to a temporary folder
    (18 MB for 3.7 million rows).
    """
    with scratch_folder("wmtp-rebuild-") as scratch:
        try:
            report = build_split(
                source.format,
                source.shards,
                source.tokenizer,
                scratch,
                source.split,
                max_tokens=source.max_tokens,
                processes=processes,
                keep_lines=False,
            )
            wrong = _unlike_report(report, jsonl, metadata)
        except (CorpusError, OSError, ValueError, KeyError, pa.ArrowException) as error:
            wrong = [str(error)]
    return _rebuilt(jsonl, "the source", wrong)


def check_small(
    jsonl: Path, whole: Path, whole_index: Path, rows: int, seed: int, metadata: Path | None = None
) -> Finding:
    """Choose the rows of a small split again from the whole one, and compare as `check_rebuilt`."""
    with scratch_folder("wmtp-small-") as scratch:
        try:
            report = select_small(whole, whole_index, scratch, rows, seed)
            wrong = _unlike_report(report, jsonl, metadata)
        except (CorpusError, OSError, ValueError, KeyError, pa.ArrowException) as error:
            wrong = [str(error)]
    return _rebuilt(jsonl, "the whole split", wrong)


def _rebuilt(jsonl: Path, origin: str, wrong: list[str]) -> Finding:
    expected = f"what {origin} gives when it is made again"
    found = "; ".join(wrong) or "the same bytes"
    return Finding(NAME, not wrong, expected, found, str(jsonl), hint=_AGAIN if wrong else "")


def _unlike_report(report: SplitReport, jsonl: Path, metadata: Path | None) -> list[str]:
    """Which of the stored files are not what was made again."""
    wrong = [
        f"{path.name} is not what the rows give"
        for path, digest in (
            (jsonl, report.stats["jsonl"]["sha256"]),
            (metadata, report.stats["metadata"]["sha256"]),
        )
        if path is not None and sha256_file(path) != digest
    ]
    # Parquet's bytes are pyarrow's; what they say is compared.
    index = _beside(jsonl, ".index.parquet")
    if not _same_index(RowIndex(index), RowIndex(report.index)):
        wrong.append(f"{index.name} says otherwise")
    stats = _beside(jsonl, "_stats.json")
    stored = json.loads(stats.read_bytes())
    unlike = [
        name
        for name in sorted(stored.keys() | report.stats.keys())
        if name != "index" and stored.get(name) != json.loads(json.dumps(report.stats.get(name)))
    ]
    return wrong + ([f"{stats.name} says otherwise of {', '.join(unlike)}"] if unlike else [])


def _same_index(one: RowIndex, other: RowIndex) -> bool:
    if len(one) != len(other) or one.facts != other.facts:
        return False
    pairs: Iterable[tuple[pa.RecordBatch, pa.RecordBatch]] = zip(
        *(each.batches(each.names) for each in (one, other)), strict=True
    )
    return all(first.equals(second) for first, second in pairs)


def _beside(jsonl: Path, ending: str) -> Path:
    return jsonl.with_name(jsonl.name.removesuffix(".jsonl") + ending)
