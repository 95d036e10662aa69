"""The plain way: every field of every row tokenized by SentencePiece, written by json.dumps.

What `wmtp_assets.corpora` does with blocks, bounds, caches and processes must give these bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sentencepiece


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


def upstream_rows(shards: list[Path], columns: list[str] | None = None) -> list[dict[str, Any]]:
    """Upstream's rows with every text as bytes (Arrow's text may not be UTF-8)."""
    rows: list[dict[str, Any]] = []
    for shard in shards:
        table = pq.read_table(shard, columns=columns)
        fields = [pa.field(field.name, _as_bytes(field.type)) for field in table.schema]
        values = [
            _view(column.combine_chunks(), field.type)
            for column, field in zip(table.columns, fields, strict=True)
        ]
        rows += pa.Table.from_arrays(values, schema=pa.schema(fields)).to_pylist()
    return rows


def _as_bytes(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_string(kind):
        return pa.binary()
    if pa.types.is_list(kind):
        return pa.list_(_as_bytes(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _as_bytes(field.type)) for field in kind])
    return kind


def _view(column: pa.Array, kind: pa.DataType) -> pa.Array:
    # Rebuilt from its buffers, which are the same for text and for bytes.
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks)
    children = []
    if pa.types.is_list(kind):
        children = [_view(column.values, kind.value_type)]
    elif pa.types.is_struct(kind):
        children = [_view(column.field(at), kind.field(at).type) for at in range(kind.num_fields)]
    own = 2 if pa.types.is_list(kind) else 1 if pa.types.is_struct(kind) else None
    buffers = column.buffers() if own is None else column.buffers()[:own]
    return pa.Array.from_buffers(
        kind, len(column), buffers, column.null_count, column.offset, children=children
    )


def codecontests(shards: list[Path], tokenizer: Path, max_tokens: int = 2048) -> list[bytes]:
    """The lines of a code_contests split."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    rows = upstream_rows(shards)
    lines = []
    for row, task in zip(rows, _tasks(rows), strict=True):
        tests = row["public_tests"] or {"input": None, "output": None}
        inputs, outputs = tests["input"] or [], tests["output"] or []
        pairs = [
            f"Input: {_text(given)}\nOutput: {_text(wanted)}"
            for given, wanted in list(zip(inputs, outputs, strict=False))[:2]
            if given and wanted
        ]
        for column, kind in (("solutions", "correct"), ("incorrect_solutions", "incorrect")):
            solutions = row[column] or {"language": None, "solution": None}
            languages, texts = solutions["language"] or [], solutions["solution"] or []
            for at, (language, text) in enumerate(zip(languages, texts, strict=True)):
                if language not in (1, 3) or text is None:
                    continue
                record = {
                    "instruction": _text(row["description"]),
                    "input": "\n\n".join(pairs),
                    "output": _text(text),
                    "task_id": f"{task}_{kind}_{at}",
                    "is_correct": kind == "correct",
                    "metadata": {
                        "source": "code_contests",
                        "difficulty": row["difficulty"] or 0,
                        "has_tests": bool(inputs),
                    },
                }
                fields = (record["instruction"], record["input"], record["output"])
                if sum(len(processor.encode(field)) for field in fields) <= max_tokens:
                    lines.append(json.dumps(record).encode() + b"\n")
    return lines


def metadata(lines: list[bytes]) -> bytes:
    """The contract's metadata document of these lines."""
    records = [json.loads(line) for line in lines]
    classed = [record["is_correct"] for record in records if "is_correct" in record]
    difficulties = [
        record["metadata"]["difficulty"] for record in records if "difficulty" in record["metadata"]
    ]
    document = {
        "metadata": [
            {
                name: place[name]
                for name, place in (("is_correct", record), ("difficulty", record["metadata"]))
                if name in place
            }
            for record in records
        ],
        "stats": {
            "total": len(records),
            "correct": sum(classed) if len(classed) == len(records) else None,
            "incorrect": (len(classed) - sum(classed) if len(classed) == len(records) else None),
            "difficulty_dist": {
                str(value): difficulties.count(value) for value in sorted(set(difficulties))
            },
        },
    }
    return json.dumps(document, indent=2).encode()


def problem_metadata(lines: list[bytes], tokenizer: Path) -> bytes:
    """The current contract's metadata document of these lines, every output tokenized."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
    entries: list[dict[str, Any]] = []
    problems: dict[str, dict[str, Any]] = {}
    for place, line in enumerate(lines):
        row = json.loads(line)
        entry = {}
        if "is_correct" in row:
            entry["is_correct"] = row["is_correct"]
        if row["metadata"].get("difficulty") is not None:
            entry["difficulty"] = row["metadata"]["difficulty"]
        parts = row["task_id"].split("_")
        if "is_correct" in row and parts[-1].isdigit() and parts[-2] in ("correct", "incorrect"):
            entry["problem_id"] = "_".join(parts[:-2])
            found = problems.setdefault(
                entry["problem_id"],
                {
                    "difficulty": entry.get("difficulty"),
                    "correct_indices": [],
                    "incorrect_indices": [],
                    "correct_token_lengths": [],
                    "incorrect_token_lengths": [],
                },
            )
            kind = "correct" if row["is_correct"] else "incorrect"
            found[f"{kind}_indices"].append(place)
            found[f"{kind}_token_lengths"].append(len(processor.encode(row["output"])))
        entries.append(entry)
    pairs = [
        len(one["correct_indices"]) * len(one["incorrect_indices"]) for one in problems.values()
    ]
    document = {
        "metadata": entries,
        "problem_index_map": problems,
        "stats": {
            **json.loads(metadata(lines))["stats"],
            **{
                f"has_{name}": bool(entries) and all(name in entry for entry in entries)
                for name in ("is_correct", "difficulty", "problem_id")
            },
            "n_problems": len(problems),
            "n_valid_problems": sum(bool(each) for each in pairs),
            "total_possible_pairs": sum(pairs),
        },
    }
    return json.dumps(document, indent=2).encode()


def evaluation(shards: list[Path]) -> list[dict[str, Any]]:
    """The problems as an evaluation file has them: one record each."""
    rows = upstream_rows(shards)
    return [_evaluated(row, task) for row, task in zip(rows, _tasks(rows), strict=True)]


def evaluation_file(shards: list[Path]) -> bytes:
    """{split}_eval.jsonl."""
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in evaluation(shards)]
    return "".join(lines).encode()


def tests_file(shards: list[Path]) -> bytes:
    """{split}_tests.json."""
    document = {
        record["task_id"]: {
            "task_name": record["task_id"],
            **{sort: record["metadata"][sort] for sort in TESTS},
        }
        for record in evaluation(shards)
    }
    return json.dumps(document, ensure_ascii=False).encode()


TESTS = ("public_tests", "private_tests", "generated_tests")


def _evaluated(row: dict[str, Any], task: str) -> dict[str, Any]:
    limit = row["time_limit"] or {"seconds": None, "nanos": None}
    known = limit["seconds"] is not None or limit["nanos"] is not None
    tests = {}
    for sort in TESTS:
        sides = row[sort] or {"input": None, "output": None}
        tests[sort] = {side: [_text(text) for text in sides[side] or []] for side in sides}
    return {
        "task_id": task,
        "instruction": _text(row["description"]),
        "input": "",
        "metadata": {
            "source": row["source"] or 0,
            "difficulty": row["difficulty"] or 0,
            "cf_rating": row["cf_rating"] or 0,
            "time_limit": {
                "seconds": limit["seconds"] or 0,
                "nanos": limit["nanos"] or 0,
            }
            if known
            else None,
            "memory_limit_bytes": row["memory_limit_bytes"] or 0,
            **tests,
        },
    }


def _tasks(rows: list[dict[str, Any]]) -> list[str]:
    """The problems' names, unique within the split."""
    names = [_text(row["name"]) for row in rows]
    longer = [f"{name}@{row['source'] or 0}" for name, row in zip(names, rows, strict=True)]
    seen: Counter[str] = Counter()
    tasks = []
    for name, with_source in zip(names, longer, strict=True):
        task = name
        if names.count(name) > 1:
            task = with_source
            if longer.count(with_source) > 1:
                task = f"{with_source}.{seen[with_source]}"
                seen[with_source] += 1
        tasks.append(task)
    return tasks
