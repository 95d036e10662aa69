"""The checks of a split on disk, computed from the files themselves.

All checks of a `StoredSplit` together read its lines once.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from wmtp_assets.corpora import ordering
from wmtp_assets.corpora.dataset_format import DatasetFormat, RowCheck
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.file_set import json_object
from wmtp_assets.corpora.funnel import CLASSES, added_up
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.report import Tally, stats_bytes
from wmtp_assets.corpora.row_index import RowIndex, as_numpy
from wmtp_assets.corpora.scanned_rows import LINES_OWN, ExpectedRows, ScannedRows
from wmtp_assets.corpora.schema import row_schema
from wmtp_assets.findings import AS_EXPECTED, Check, Finding, Outcome, check, lazy
from wmtp_assets.storage.digests import cores, sha256_file

_BATCH = 8192
_REST = 1 << 20  # bytes
_SHORT = 256  # bytes of a line's end that is remembered
_SHOWN = 5
_RECOUNTED = 300  # rows whose tokens are counted again, plainly


_AGAIN = "Materialize the split again."


class StoredSplit:
    """A JSONL file with its row index and statistics beside it, each read when first needed, once.

    `tokenizer`, the SentencePiece model, and `expected`
    are called when a check needs them; without a tokenizer no row's tokens are counted again.
    `schema` is the schema.json that readers get (None: the one that `row_schema` gives). `scanning`
    is given the pass over the lines and returns what it finds.
    """

    def __init__(
        self,
        jsonl: Path,
        dataset_format: DatasetFormat,
        tokenizer: Callable[[], Path | None] = lambda: None,
        expected: Callable[[], ExpectedRows] = ExpectedRows,
        schema: Path | None = None,
        max_tokens: int = 2048,
        scanning: Callable[[Callable[[], ScannedRows]], ScannedRows] = lambda scan: scan(),
    ) -> None:
        stem = jsonl.name.removesuffix(".jsonl")
        self.jsonl = jsonl
        self.format = dataset_format
        self.schema = schema
        self.max_tokens = max_tokens
        self.stats_file = jsonl.with_name(f"{stem}_stats.json")
        self.index_file = jsonl.with_name(f"{stem}.index.parquet")
        self._tokenizer, self._expected, self._scanning = tokenizer, expected, scanning

    @lazy
    def expected(self) -> ExpectedRows:
        """How many rows there must be."""
        return self._expected()

    @lazy
    def tokenizer(self) -> Path | None:
        """The SentencePiece model."""
        return self._tokenizer()

    @lazy
    def index(self) -> RowIndex:
        """The row index. Raises CorpusError, OSError."""
        return RowIndex(self.index_file)

    @lazy
    def index_sha256(self) -> str:
        """SHA-256 of the row index's file."""
        return sha256_file(self.index_file)

    @lazy
    def stats(self) -> dict[str, Any]:
        """The statistics beside the rows."""
        return json_object(self.stats_file)

    @lazy
    def scan(self) -> ScannedRows:
        """What one pass over all lines found."""
        from wmtp_assets.corpora.row_scan import scan_rows  # brings pandera and pandas along

        return self._scanning(lambda: scan_rows(self.jsonl, self.format, self.index))


def check_split(
    jsonl: Path,
    dataset_format: DatasetFormat,
    *,
    tokenizer: Path | None = None,
    schema: Path | None = None,
    rows: int | None = None,
    correct: int | None = None,
    incorrect: int | None = None,
    max_tokens: int = 2048,
) -> list[Finding]:
    """All checks of `jsonl`, with its row index and statistics beside it.

    `rows`, `correct`, `incorrect` are the counts expected (None: any); `schema` is the schema.json
    that readers get (None: the one that `row_schema` gives). With `tokenizer`, the SentencePiece
    model, the tokens of some hundred rows are counted again, plainly. Reads every line once. Of a
    split that cannot be read that is the only finding.
    """
    expected = ExpectedRows(rows, correct, incorrect)
    split = StoredSplit(
        jsonl, dataset_format, lambda: tokenizer, lambda: expected, schema, max_tokens
    )
    try:
        return [one.of(split) for one in stored_split_checks(dataset_format)]
    except (CorpusError, OSError, ValueError, KeyError) as error:
        name = row_counts.name
        return [Finding(name, False, "a complete split", str(error), str(jsonl), hint=_AGAIN)]


def stored_split_checks(dataset_format: DatasetFormat) -> list[Check[StoredSplit]]:
    """The checks of a split of this format: those of every split, and the format's own."""
    return [*_EVERY_SPLIT, *map(_of_rows, dataset_format.checks)]


def _of_rows(one: RowCheck) -> Check[StoredSplit]:
    def compute(split: StoredSplit) -> Finding:
        return one.compute(split.scan, str(split.jsonl), split.expected)

    return Check(one.name, one.description, compute, one.blocking)


@check("The number of rows, in total and by class, is what the catalog expects.")
def row_counts(split: StoredSplit) -> Outcome:
    classes = split.scan.classes
    every = {
        "rows": split.scan.rows,
        "correct": classes["correct"],
        "incorrect": classes["incorrect"],
    }
    wanted = split.expected
    asked = {"rows": wanted.rows, "correct": wanted.correct, "incorrect": wanted.incorrect}
    expected = {name: value for name, value in asked.items() if value is not None}
    # Rows of a format without classes have counts by class only where the catalog states some.
    shown = every if split.format.classed else {"rows", *expected}
    counted = {name: rows for name, rows in every.items() if name in shown}
    hint = "Materialize the split again; if upstream changed, correct the catalog's counts."
    same = [name for name, rows in wanted.of_others.items() if rows == counted["rows"]]
    if same and wanted.rows not in (None, counted["rows"]):
        hint = (
            f"The catalog expects as many rows of the split {' and '.join(same)}: check that the "
            f"files that it names for this split hold its rows. Else: {hint}"
        )
    return Outcome(
        passed=all(counted[name] == value for name, value in expected.items()),
        expected=expected or {"rows": "any number"},
        found=counted,
        where=str(split.jsonl),
        hint=hint,
    )


@check("Every record has the fields and types of the schema (pandera).")
def record_schema(split: StoredSplit) -> Outcome:
    failures = split.scan.not_json + split.scan.not_schema
    return _nothing_wrong(split, "every record as the schema says", failures, split.jsonl)


@check("is_correct is a boolean in rows that have a class, and absent in others.")
def class_field(split: StoredSplit) -> Outcome:
    wanted = ("correct", "incorrect") if split.format.classed else ("absent",)
    return Outcome(
        passed=sum(split.scan.classes[name] for name in wanted) == split.scan.rows,
        expected="is_correct, a boolean, in every row"
        if split.format.classed
        else "no is_correct in any row",
        found=_classes(split.scan.classes),
        where=str(split.jsonl),
    )


def _classes(counted: Mapping[str, int]) -> str:
    """E.g. "11 rows without is_correct"."""
    words = {
        "correct": "with is_correct true",
        "incorrect": "with is_correct false",
        "absent": "without is_correct",
    }
    said = [
        f"{rows} rows {words.get(name, 'with an is_correct that is no boolean')}"
        for name, rows in counted.items()
        if rows
    ]
    return ", ".join(said) or "no rows"


@check("Every difficulty is one of upstream's values.")
def difficulty_known(split: StoredSplit) -> Outcome:
    difficulties = split.format.difficulties
    allowed = difficulties or (None,)
    found = split.scan.difficulties
    unknown = [
        f"{value} in {times:,} row{'s' if times > 1 else ''}"
        for value, times in found.items()
        if value not in allowed
    ]
    return Outcome(
        passed=not unknown,
        expected=f"upstream's values: {_ranges(difficulties)}" if difficulties else "no difficulty",
        found=f"others: {', '.join(unknown)}" if unknown else AS_EXPECTED,
        where=str(split.jsonl),
    )


def _ranges(values: Sequence[int]) -> str:
    """E.g. "0-17, 19-29"."""
    found: list[str] = []
    for _, group in itertools.groupby(enumerate(sorted(values)), lambda pair: pair[1] - pair[0]):
        run = [value for _, value in group]
        found.append(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]))
    return ", ".join(found)


@check("The row index states the right offset, length and class of each line.")
def index_describes_lines(split: StoredSplit) -> Outcome:
    expected = "offset, length, class and difficulty of each line"
    return _nothing_wrong(split, expected, split.scan.not_index, split.index_file)


@check("No task id occurs twice.")
def task_ids_unique(split: StoredSplit) -> Outcome:
    repeated = split.scan.repeated_task_ids
    return Outcome(
        repeated == 0,
        expected={"repeated task ids": 0},
        found={"repeated task ids": repeated},
        where=str(split.jsonl),
    )


@check("The statistics agree with the rows.")
def stats_add_up(split: StoredSplit) -> Outcome:
    """The statistics against the lines, and the funnel and distributions against their totals."""
    found, stats, index = split.scan, split.stats, split.index
    by_difficulty = {
        json.dumps(value): times for value, times in found.difficulties.items() if value is not None
    }
    classed = found.classes["absent"] == 0
    expected: dict[str, object] = {
        "total": found.rows,
        "correct": found.classes["correct"] if classed else None,
        "incorrect": found.classes["incorrect"] if classed else None,
        "difficulty_dist": by_difficulty,
        "funnel.kept": found.rows,
        "jsonl.sha256": found.digest,
        "jsonl.bytes": found.bytes,
        "index.rows": found.rows,
        "index.jsonl.sha256": found.digest,
    }
    funnel = stats.get("funnel", {})
    if "candidates" in funnel:
        classes = {name: found.classes[name] for name in CLASSES if split.format.classed}
        whole = added_up(funnel, found.rows, classes)
        expected |= {f"funnel.{name}": count for name, count in whole.items()}
    tally = Tally()
    for batch in index.batches(index.names):
        tally.add(pa.Table.from_batches([batch]))
    distributions = json.loads(json.dumps(tally.document()))
    expected |= distributions
    jsonl = stats.get("jsonl", {})
    counts = ("total", "correct", "incorrect", "difficulty_dist")
    known = {*index.facts, *distributions, *counts, "funnel", "index"}
    file = {"sha256": split.index_sha256, "bytes": index.path.stat().st_size}
    expected |= {**index.facts, "rows": found.rows, "index": file, "further fields": []}
    expected |= {"written as a build writes it": True, "funnel's other numbers": []}
    actual = {
        "written as a build writes it": split.stats_file.read_bytes() == stats_bytes(stats),
        "funnel's other numbers": [
            name for name, count in funnel.items() if type(count) is not int
        ],
        **{name: stats.get(name) for name in (*index.facts, "index")},
        "further fields": sorted(stats.keys() - known),
        **{name: stats.get(name) for name in distributions},
        **{name: stats.get(name) for name in counts},
        **{
            name: funnel.get(name.removeprefix("funnel."))
            for name in expected
            if name.startswith("funnel.")
        },
        "funnel.kept": funnel.get("kept", 0),
        "jsonl.sha256": jsonl.get("sha256"),
        "jsonl.bytes": jsonl.get("bytes"),
        "index.rows": len(index),
        "index.jsonl.sha256": index.facts["jsonl"]["sha256"],
    }
    # As text: 75.0 is no 75, and true is no 1.
    wrong = {
        name: actual[name]
        for name, value in expected.items()
        if json.dumps(actual[name], sort_keys=True) != json.dumps(value, sort_keys=True)
    }
    return Outcome(
        passed=not wrong,
        expected={name: expected[name] for name in wrong} or LINES_OWN,
        found=wrong or AS_EXPECTED,
        where=str(split.stats_file),
        hint=_AGAIN,
    )


@check("No row has more tokens than the limit.")
def token_sums(split: StoredSplit) -> Outcome:
    fields = ("instruction", "input", "output")
    over = greatest = 0
    for batch in split.index.batches([f"{name}_tokens" for name in fields]):
        total = np.sum([as_numpy(column).astype(np.int64) for column in batch.columns], axis=0)
        over += int((total > split.max_tokens).sum())
        greatest = max(greatest, int(total.max(initial=0)))
    miscounted = []
    recounted = 0
    # Rows can be read back, and their tokens counted again, only where lines and index are sound.
    sound = not (over or split.scan.not_json or split.scan.not_schema or split.scan.not_index)
    if sound and split.tokenizer is not None:
        from wmtp_assets.corpora.counting import open_counter

        counter = open_counter(split.tokenizer)
        corpus = Corpus(split.jsonl)
        rows = ordering.drawn(corpus.select(), _RECOUNTED, seed=0)
        recounted = int(rows.size)
        lines = corpus.take(rows)
        with ThreadPoolExecutor(cores()) as pool:  # SentencePiece lets other threads run
            counts = pool.map(counter.encoded, [row[name] for row in lines for name in fields])
            by_row = [[next(counts) for _ in fields] for _ in lines]
        for place, plain in zip(rows.tolist(), by_row, strict=True):
            if plain != [int(corpus.column(f"{name}_tokens")[place]) for name in fields]:
                miscounted.append(f"line {place}: {plain}")
    return Outcome(
        passed=not over and not miscounted,
        expected=f"at most {split.max_tokens} tokens a row",
        found=f"at most {greatest}, {over} rows over it"
        + (f", {len(miscounted)} of {recounted} counted again differ" if miscounted else ""),
        where=str(split.jsonl),
        details={"recounted": recounted, "first_failures": miscounted[:5]},
    )


@check("schema.json describes every row.")
def schema_describes_rows(split: StoredSplit) -> Outcome:
    wanted = row_schema(split.format)
    rules = wanted if split.schema is None else json_object(split.schema)
    failures = split.scan.not_schema
    return Outcome(
        passed=rules == wanted and not failures,
        expected="schema.json as this version writes it, and every row valid by it",
        found="another schema" if rules != wanted else failures[0] if failures else "as expected",
        where=str(split.schema or split.jsonl),
        hint="Materialize schema.json again." if rules != wanted else _AGAIN,
        details={"first_failures": failures},
    )


_EVERY_SPLIT = (
    row_counts,
    record_schema,
    class_field,
    difficulty_known,
    index_describes_lines,
    task_ids_unique,
    stats_add_up,
    token_sums,
    schema_describes_rows,
)


def _nothing_wrong(split: StoredSplit, expected: str, failures: list[str], where: Path) -> Outcome:
    return Outcome(
        passed=not failures,
        expected=expected,
        found=failures[0] if failures else f"{split.scan.rows:,} rows, all so",
        where=str(where),
        hint=_AGAIN if failures else "",
        details={"first_failures": failures} if failures else {},
    )
