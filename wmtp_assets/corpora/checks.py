"""What must be true of a split on disk, asked of the files themselves.

Every proof answers in `Finding`s: the expected beside the found, and the file. A missing or
unreadable file is a finding too, so that a caller can list everything that is wrong at once.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from wmtp_assets.corpora import ordering
from wmtp_assets.corpora.dataset_format import DatasetFormat
from wmtp_assets.corpora.errors import CorpusError
from wmtp_assets.corpora.metadata import MetadataText
from wmtp_assets.corpora.reader import Corpus
from wmtp_assets.corpora.report import Tally
from wmtp_assets.corpora.row_index import RowIndex, as_numpy
from wmtp_assets.corpora.scanned_rows import ScannedRows
from wmtp_assets.corpora.schema import row_schema
from wmtp_assets.findings import Finding

_BATCH = 8192
_SHOWN = 5
_RECOUNTED = 300  # rows whose tokens are counted again, plainly


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
    """Prove a split: `jsonl` with its row index and statistics beside it.

    `rows`, `correct`, `incorrect` are the counts expected (None: any); `schema` is the schema.json
    that readers get (None: the one that `row_schema` gives). With `tokenizer`, the SentencePiece
    model, the tokens of some hundred rows are counted again, plainly. Reads every line once.
    """
    from wmtp_assets.corpora.row_scan import scan_rows  # brings pandera and pandas along

    stem = jsonl.name.removesuffix(".jsonl")
    stats_file = jsonl.with_name(f"{stem}_stats.json")
    classed = dataset_format.classed
    wanted_schema = row_schema(dataset_format)
    try:
        index = RowIndex(jsonl.with_name(f"{stem}.index.parquet"))
        rules = _json(schema) if schema is not None else wanted_schema
        stats = _json(stats_file)
        found = scan_rows(jsonl, dataset_format, index)
    except (CorpusError, OSError, ValueError, KeyError) as error:
        return [
            Finding(
                name="row_counts",
                passed=False,
                expected="a complete split",
                found=str(error),
                where=str(jsonl),
                hint="Materialize the split again.",
            )
        ]
    where = str(jsonl)
    # Rows can be read back, and their tokens counted again, only where lines and index are sound.
    sound = not (found.not_json or found.not_schema or found.not_index)
    return [
        _counts(found, where, rows, correct, incorrect),
        _nothing_wrong(
            "record_schema",
            "every record as the schema says",
            found.rows,
            found.not_json + found.not_schema,
            where,
        ),
        _class_field(found, where, classed),
        _difficulties(found, where, dataset_format.difficulties),
        _nothing_wrong(
            "index_describes_lines",
            "offset, length, class and difficulty of each line",
            found.rows,
            found.not_index,
            str(index.path),
        ),
        Finding(
            name="task_ids_unique",
            passed=found.repeated_task_ids == 0,
            expected=0,
            found=found.repeated_task_ids,
            where=where,
        ),
        _stats(found, stats, index, str(stats_file)),
        _token_sums(jsonl, index, tokenizer if sound else None, max_tokens),
        Finding(
            name="schema_describes_rows",
            passed=rules == wanted_schema and not found.not_schema,
            expected="schema.json as this version writes it, and every row valid by it",
            found="as expected" if rules == wanted_schema else "another schema",
            where=str(schema or where),
            hint="Materialize schema.json again.",
            details={"first_failures": found.not_schema},
        ),
        *(check.compute(found, where) for check in dataset_format.checks),
    ]


def check_metadata(metadata: Path, jsonl: Path) -> list[Finding]:
    """Prove that entry i of the contract's metadata file describes line i of `jsonl`, for every i,
    and that its statistics are those of the lines."""
    try:
        with metadata.open("rb") as document:
            same, stats = _is_text_of(document, jsonl)
        parsed = None if same else _json(metadata)
    except (OSError, ValueError, KeyError) as error:
        return [
            Finding(
                name="metadata_matches_lines",
                passed=False,
                expected="an entry a line",
                found=str(error),
                where=str(metadata),
                hint="Materialize the metadata again.",
            )
        ]
    differences = [] if parsed is None else _differences(parsed, jsonl)
    stats_found = stats if parsed is None else parsed.get("stats")
    return [
        Finding(
            name="metadata_matches_lines",
            passed=not differences,
            expected="entry i describes line i, for every i",
            found="as expected" if not differences else differences[0],
            where=str(metadata),
            hint="Materialize the metadata again.",
            details={"first_failures": differences},
        ),
        Finding(
            name="metadata_stats_add_up",
            passed=stats_found == stats,
            expected=stats,
            found=stats_found,
            where=str(metadata),
            hint="Materialize the metadata again.",
        ),
    ]


def _counts(
    found: ScannedRows, where: str, rows: int | None, correct: int | None, incorrect: int | None
) -> Finding:
    counted = {
        "rows": found.rows,
        "correct": found.classes["correct"],
        "incorrect": found.classes["incorrect"],
    }
    asked = {"rows": rows, "correct": correct, "incorrect": incorrect}
    expected = {name: value for name, value in asked.items() if value is not None}
    return Finding(
        name="row_counts",
        passed=all(counted[name] == value for name, value in expected.items()),
        expected=expected or "any",
        found=counted,
        where=where,
        hint="Materialize the split again; if upstream changed, correct the catalog's counts.",
    )


def _class_field(found: ScannedRows, where: str, classed: bool) -> Finding:
    wanted = ("correct", "incorrect") if classed else ("absent",)
    return Finding(
        name="class_field",
        passed=sum(found.classes[name] for name in wanted) == found.rows,
        expected="is_correct, a boolean, in every row" if classed else "no is_correct in any row",
        found=dict(found.classes),
        where=where,
    )


def _difficulties(found: ScannedRows, where: str, difficulties: Sequence[int]) -> Finding:
    allowed = difficulties or (None,)
    unknown = {
        str(value): times for value, times in found.difficulties.items() if value not in allowed
    }
    return Finding(
        name="difficulty_known",
        passed=not unknown,
        expected=f"upstream's values: {_ranges(difficulties)}" if difficulties else None,
        found=unknown or "only such",
        where=where,
    )


def _ranges(values: Sequence[int]) -> str:
    """E.g. "0-17, 19-29"."""
    found: list[str] = []
    for _, group in itertools.groupby(enumerate(sorted(values)), lambda pair: pair[1] - pair[0]):
        run = [value for _, value in group]
        found.append(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]))
    return ", ".join(found)


def _stats(found: ScannedRows, stats: Mapping[str, Any], index: RowIndex, where: str) -> Finding:
    """The statistics against the lines, and the funnel and distributions against their totals."""
    by_difficulty = {json.dumps(value): times for value, times in found.difficulties.items()}
    classed = found.classes["absent"] == 0
    expected = {
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
    dropped = sum(
        funnel.get(name, 0) for name in ("null_solutions", "too_long_by_bound", "too_long_by_count")
    )
    if "candidates" in funnel:
        expected["funnel.candidates"] = found.rows + dropped
    tally = Tally()
    for batch in index.batches(index.names):
        tally.add(pa.Table.from_batches([batch]))
    distributions = json.loads(json.dumps(tally.document()))
    expected |= distributions
    jsonl = stats.get("jsonl", {})
    actual = {
        **{name: stats.get(name) for name in distributions},
        **{name: stats.get(name) for name in ("total", "correct", "incorrect", "difficulty_dist")},
        "funnel.kept": funnel.get("kept", 0),
        "funnel.candidates": funnel.get("candidates"),
        "jsonl.sha256": jsonl.get("sha256"),
        "jsonl.bytes": jsonl.get("bytes"),
        "index.rows": len(index),
        "index.jsonl.sha256": index.facts["jsonl"]["sha256"],
    }
    wrong = {name: actual[name] for name, value in expected.items() if actual[name] != value}
    return Finding(
        name="stats_add_up",
        passed=not wrong,
        expected={name: expected[name] for name in wrong} or "the lines' own counts",
        found=wrong or "as expected",
        where=where,
        hint="Materialize the split again.",
    )


def _token_sums(jsonl: Path, index: RowIndex, tokenizer: Path | None, limit: int) -> Finding:
    fields = ("instruction", "input", "output")
    over = greatest = 0
    for batch in index.batches([f"{name}_tokens" for name in fields]):
        total = np.sum([as_numpy(column).astype(np.int64) for column in batch.columns], axis=0)
        over += int((total > limit).sum())
        greatest = max(greatest, int(total.max(initial=0)))
    miscounted = []
    recounted = 0
    if tokenizer is not None and not over:
        from wmtp_assets.corpora.tokens import TokenCounter

        counter = TokenCounter(tokenizer)
        corpus = Corpus(jsonl)
        rows = ordering.drawn(corpus.select(), _RECOUNTED, seed=0)
        recounted = int(rows.size)
        for place, row in zip(rows.tolist(), corpus.take(rows), strict=True):
            plain = [counter.encoded(row[name]) for name in fields]
            if plain != [int(corpus.column(f"{name}_tokens")[place]) for name in fields]:
                miscounted.append(f"line {place}: {plain}")
    return Finding(
        name="token_sums",
        passed=not over and not miscounted,
        expected=f"at most {limit} tokens a row",
        found=f"at most {greatest}, {over} rows over it",
        where=str(jsonl),
        details={"recounted": recounted, "first_failures": miscounted[:5]},
    )


def _nothing_wrong(name: str, expected: str, rows: int, failures: list[str], where: str) -> Finding:
    return Finding(
        name=name,
        passed=not failures,
        expected=expected,
        found=failures[0] if failures else f"{rows:,} rows, all so",
        where=where,
        hint="" if not failures else "Materialize the split again.",
        details={"first_failures": failures} if failures else {},
    )


def _line_facts(jsonl: Path) -> Iterator[list[tuple[bool | None, int | None]]]:
    """(is_correct, difficulty) of every line, in batches, from the lines' ends alone."""
    with jsonl.open("rb", buffering=1 << 20) as file:
        while lines := list(itertools.islice(file, _BATCH)):
            facts = []
            for line in lines:
                # Quotes within JSON text are escaped, so neither mark can be part of a text.
                at = max(line.rfind(b', "is_correct": '), line.rfind(b', "metadata": {'))
                first = line.find(b', "is_correct": ', max(0, at - 64))
                end = json.loads(b"{" + line[(first if first >= 0 else at) + 2 :])
                facts.append((end.get("is_correct"), end["metadata"]["difficulty"]))
            yield facts


def _is_text_of(document: BinaryIO, jsonl: Path) -> tuple[bool, dict[str, object]]:
    """Whether `document` holds, byte for byte, what the lines ask for; and the lines' stats."""
    text = MetadataText()
    same = True
    for facts in _line_facts(jsonl):
        wanted = text.of(facts)
        same = same and document.read(len(wanted)) == wanted
    return same and document.read() == text.end(), text.stats()


def _differences(parsed: Mapping[str, Any], jsonl: Path) -> list[str]:
    """The first few entries of a metadata document that are not what their lines say."""
    entries = parsed.get("metadata", [])
    found: list[str] = []
    place = 0
    for facts in _line_facts(jsonl):
        for is_correct, difficulty in facts:
            wanted = {"difficulty": difficulty}
            if is_correct is not None:
                wanted["is_correct"] = is_correct
            entry = entries[place] if place < len(entries) else "no entry"
            if entry != wanted and len(found) < _SHOWN:
                found.append(f"entry {place}: expected {wanted}, found {entry}")
            place += 1
    if place != len(entries) and len(found) < _SHOWN:
        found.append(f"{len(entries):,} entries for {place:,} lines")
    return found or ["the same entries, in another layout than json.dump(indent=2)"]


def _json(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict):
        raise ValueError(f"{path} is not a JSON object")
    return found
