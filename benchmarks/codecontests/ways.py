"""The ways to turn shards into training rows: ours, and the peers', each a process of its own.

    python -m benchmarks.codecontests.ways WAY TOKENIZER OUT PROCESSES SHARD...

Each peer does what a competent user of it would write: rows are formatted, their three fields
tokenized in batches with SentencePiece, the sum compared. Only `streaming`, the best plain script,
counts a problem's own texts once, as ours does; and only `datasets_straightforward`, the first one
that anybody writes, asks transformers' tokenizer, field by field. Says {"rows", "sha256"} as JSON,
ours also "cpu", the CPU seconds apart from imports.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

COLUMNS = [
    "name", "description", "public_tests", "source", "difficulty",
    "solutions", "incorrect_solutions",
]  # fmt: skip
LIMIT = 2048

Row = dict[str, Any]
Way = Callable[[Path, Path, int, list[str]], None]


def ours(tokenizer: Path, out: Path, processes: int, shards: list[str]) -> None:
    from wmtp_assets.corpora.build import build_split
    from wmtp_assets.corpora.formats.code_contests import FORMAT

    paths = [Path(shard) for shard in shards]
    build_split(FORMAT, paths, tokenizer, out.parent, out.stem, processes=processes)


def streaming(tokenizer: Path, out: Path, processes: int, shards: list[str]) -> None:
    """A plain script: pyarrow, a few problems at a time, one process."""
    import pyarrow.parquet as pq

    processor = _processor(tokenizer)
    with out.open("w") as file:
        for shard in shards:
            for batch in pq.ParquetFile(shard).iter_batches(16, columns=COLUMNS):
                for row in batch.to_pylist():
                    file.writelines(_lines_counted_once(row, processor))


def datasets_straightforward(tokenizer: Path, out: Path, processes: int, shards: list[str]) -> None:
    """One step after the other, as the guides show them, with AutoTokenizer."""
    from transformers import AutoTokenizer

    from wmtp_assets.checkpoints.tokenizers import tokenizer_documents

    folder = out.with_suffix(".tokenizer")
    folder.mkdir(exist_ok=True)
    for name, document in tokenizer_documents(tokenizer).items():
        (folder / name).write_text(json.dumps(document))
    auto = AutoTokenizer.from_pretrained(folder)
    _step_after_step(lambda text: auto(text, add_special_tokens=False)["input_ids"], out, shards)
    shutil.rmtree(folder)


def datasets_sentencepiece(tokenizer: Path, out: Path, processes: int, shards: list[str]) -> None:
    """The same, by somebody who knows that SentencePiece itself is faster."""
    _step_after_step(_processor(tokenizer).encode, out, shards)


def _step_after_step(encode: Callable[[str], list[int]], out: Path, shards: list[str]) -> None:
    """A row a solution, those in Python, each made a record, the short ones, to_json; then the file
    is read again for the metadata, and once more to hash. The table holds every column and is the
    cache's, steps are of a row each but for the first, which cannot be."""
    import datasets

    cache = out.with_suffix(".cache")
    loaded = datasets.load_dataset(
        "parquet", data_files=shards, split="train", cache_dir=str(cache)
    )
    rows = loaded.map(_solution_rows, batched=True, remove_columns=loaded.column_names)
    rows = rows.filter(lambda row: row["language"] in (1, 3))
    made = rows.map(_record_of_row, remove_columns=rows.column_names)

    def short(row: Row) -> bool:
        fields = (row["instruction"], row["input"], row["output"])
        return sum(len(encode(field)) for field in fields) <= LIMIT

    made.filter(short).to_json(out)
    shutil.rmtree(cache)
    records = [json.loads(line) for line in out.open()]
    entries = [
        {"is_correct": row["is_correct"], "difficulty": row["metadata"]["difficulty"]}
        for row in records
    ]
    with out.with_suffix(".metadata").open("w") as file:
        json.dump({"metadata": entries}, file, indent=2)


def _solution_rows(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """A row for each solution, correct and incorrect, in any language."""
    found: dict[str, list[Any]] = {name: [] for name in _SOLUTION_COLUMNS}
    for at, name in enumerate(batch["name"]):
        for column, kind in (("solutions", "correct"), ("incorrect_solutions", "incorrect")):
            solutions = batch[column][at]
            pairs = zip(solutions["language"], solutions["solution"], strict=True)
            for place, (language, text) in enumerate(pairs):
                found["description"].append(batch["description"][at])
                found["public_tests"].append(batch["public_tests"][at])
                found["difficulty"].append(batch["difficulty"][at])
                found["task_id"].append(f"{name}_{kind}_{place}")
                found["is_correct"].append(kind == "correct")
                found["language"].append(language)
                found["solution"].append(text)
    return found


_SOLUTION_COLUMNS = (
    "description", "public_tests", "difficulty", "task_id", "is_correct", "language", "solution",
)  # fmt: skip


def _record_of_row(row: Row) -> Row:
    return {
        "instruction": row["description"],
        "input": _input(row["public_tests"]),
        "output": row["solution"],
        "task_id": row["task_id"],
        "is_correct": row["is_correct"],
        "metadata": {
            "source": "code_contests",
            "difficulty": row["difficulty"],
            "has_tests": bool(row["public_tests"]["input"]),
        },
    }


def datasets_well(tokenizer: Path, out: Path, processes: int, shards: list[str]) -> None:
    """Projection, one batched map on all cores that formats and filters, lines written as made."""
    import datasets

    cache = out.with_suffix(".cache")
    loaded = datasets.load_dataset(
        "parquet", data_files=shards, split="train", columns=COLUMNS, cache_dir=str(cache)
    )
    made = loaded.map(
        _DatasetsLines(tokenizer),
        batched=True,
        batch_size=8,
        num_proc=processes,
        remove_columns=loaded.column_names,
    )
    with out.open("w") as file:
        for batch in made.with_format("arrow").iter(1024):
            file.writelines(batch["line"].to_pylist())
    shutil.rmtree(cache)


class _DatasetsLines:
    def __init__(self, tokenizer: Path) -> None:
        self.tokenizer = tokenizer
        self.processor: Any = None

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[str]]:
        if self.processor is None:
            self.processor = _processor(self.tokenizer)
        found: list[str] = []
        for at in range(len(batch["name"])):
            row = {name: batch[name][at] for name in COLUMNS}
            found += _lines(row, self.processor)
        return {"line": found}

    def __getstate__(self) -> dict[str, Any]:
        return {"tokenizer": self.tokenizer, "processor": None}


def polars(tokenizer: Path, out: Path, processes: int, shards: list[str]) -> None:
    """Explode, filter by language and format in polars; tokens in batches; JSON by the library."""
    import polars as pl

    processor = _processor(tokenizer)
    with out.open("wb") as file:
        for shard in shards:
            table = pl.scan_parquet(shard).select(COLUMNS).with_row_index("problem").collect()
            inputs = [_input(tests) for tests in table["public_tests"].to_list()]
            table = table.with_columns(
                pl.Series("input", inputs),
                has_tests=pl.col("public_tests").struct.field("input").list.len() > 0,
            )
            parts = []
            for kind in ("solutions", "incorrect_solutions"):
                lists = pl.col(kind).struct
                rows = (
                    table.select(
                        "problem",
                        "name",
                        "description",
                        "input",
                        "difficulty",
                        "has_tests",
                        language=lists.field("language"),
                        output=lists.field("solution"),
                        place=pl.int_ranges(lists.field("language").list.len()),
                    )
                    .explode("language", "output", "place")
                    .filter(pl.col("language").is_in([1, 3]))
                )
                parts.append(rows.with_columns(is_correct=pl.lit(kind == "solutions")))
            rows = pl.concat(parts).sort("problem", pl.col("is_correct").not_(), "place")
            fields = (rows[name].to_list() for name in ("description", "input", "output"))
            rows = rows.filter(pl.Series(_short(processor, *fields)))
            kind_name = (
                pl.when("is_correct").then(pl.lit("_correct_")).otherwise(pl.lit("_incorrect_"))
            )
            rows.select(
                instruction="description",
                input="input",
                output="output",
                task_id=pl.concat_str("name", kind_name, "place"),
                is_correct="is_correct",
                metadata=pl.struct(
                    source=pl.lit("code_contests"), difficulty="difficulty", has_tests="has_tests"
                ),
            ).write_ndjson(file)


def duckdb(tokenizer: Path, out: Path, processes: int, shards: list[str]) -> None:
    """Explode and filter by language in SQL; tokens in batches; JSON by the library."""
    import duckdb as db
    import pyarrow as pa

    processor = _processor(tokenizer)
    connection = db.connect(config={"threads": processes})
    with out.open("wb") as file:
        for shard in shards:
            rows = connection.execute(_EXPLODE.format(shard=shard)).to_arrow_table()
            fields = (rows[name].to_pylist() for name in ("instruction", "input", "output"))
            keep = _short(processor, *fields)
            kept = rows.filter(pa.array(keep)).drop_columns(["problem"])  # noqa: F841 (SQL sees it)
            part = out.with_suffix(".part")
            connection.execute(f"COPY (SELECT * FROM kept) TO '{part}' (FORMAT json)")  # noqa: S608
            file.write(part.read_bytes())
            part.unlink()


_EXPLODE = """
WITH numbered AS (
  SELECT *, file_row_number AS problem FROM read_parquet('{shard}', file_row_number=true)),
tested AS (SELECT *, array_to_string([
    'Input: ' || public_tests.input[k] || chr(10) || 'Output: ' || public_tests.output[k]
    for k in range(1, 3) if public_tests.input[k] <> '' and public_tests.output[k] <> ''
  ], chr(10) || chr(10)) AS given FROM numbered),
rows AS (
  SELECT *, true AS is_correct, unnest(solutions.language) AS language,
    unnest(solutions.solution) AS output, unnest(range(len(solutions.language))) AS place
  FROM tested
  UNION ALL
  SELECT *, false, unnest(incorrect_solutions.language), unnest(incorrect_solutions.solution),
    unnest(range(len(incorrect_solutions.language))) FROM tested)
SELECT problem, description AS instruction, given AS input, output,
  name || CASE WHEN is_correct THEN '_correct_' ELSE '_incorrect_' END || place AS task_id,
  is_correct,
  {{'source': 'code_contests', 'difficulty': difficulty,
    'has_tests': len(public_tests.input) > 0}} AS metadata
FROM rows WHERE language IN (1, 3) ORDER BY problem, is_correct DESC, place
"""


def datatrove(tokenizer: Path, out: Path, processes: int, shards: list[str]) -> None:
    """A reader, a step that formats and filters, a writer; a task a shard on all cores."""
    from datatrove.executor import LocalPipelineExecutor

    folder = out.with_suffix(".parts")
    LocalPipelineExecutor(
        pipeline=[_TroveRead(shards), _TroveWrite(tokenizer, folder)],
        tasks=len(shards),
        workers=processes,
        logging_dir=str(out.with_suffix(".logs")),
    ).run()
    with out.open("wb") as file:
        for part in sorted(folder.iterdir()):
            with part.open("rb") as source:
                shutil.copyfileobj(source, file)
    shutil.rmtree(folder)
    shutil.rmtree(out.with_suffix(".logs"))


class _TroveRead:
    def __init__(self, shards: list[str]) -> None:
        self.shards = shards

    def __call__(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        import pyarrow.parquet as pq
        from datatrove.data import Document

        for shard in self.shards[rank::world_size]:
            for batch in pq.ParquetFile(shard).iter_batches(16, columns=COLUMNS):
                for row in batch.to_pylist():
                    yield Document(text=row["description"], id=row["name"], metadata=row)


class _TroveWrite:
    def __init__(self, tokenizer: Path, folder: Path) -> None:
        self.tokenizer, self.folder = tokenizer, folder

    def __call__(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        processor = _processor(self.tokenizer)
        self.folder.mkdir(exist_ok=True)
        with (self.folder / f"{rank:05d}").open("w") as file:
            for document in data:
                file.writelines(_lines(document.metadata, processor))
                yield document


WAYS: dict[str, Way] = {
    "ours": ours,
    "streaming": streaming,
    "datasets_straightforward": datasets_straightforward,
    "datasets_sentencepiece": datasets_sentencepiece,
    "datasets_well": datasets_well,
    "polars": polars,
    "duckdb": duckdb,
    "datatrove": datatrove,
}


def _processor(tokenizer: Path) -> Any:
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))


def _counted(processor: Any, texts: list[str]) -> list[int]:
    return [
        len(ids)
        for begin in range(0, len(texts), 512)
        for ids in processor.encode(texts[begin : begin + 512])
    ]


def _input(tests: dict[str, list[str]]) -> str:
    return "\n\n".join(
        f"Input: {given}\nOutput: {wanted}"
        for given, wanted in list(zip(tests["input"], tests["output"], strict=True))[:2]
        if given and wanted
    )


def _records(row: Row) -> Iterator[Row]:
    given = _input(row["public_tests"])
    for column, kind in (("solutions", "correct"), ("incorrect_solutions", "incorrect")):
        pairs = zip(row[column]["language"], row[column]["solution"], strict=True)
        for place, (language, text) in enumerate(pairs):
            if language in (1, 3):
                yield {
                    "instruction": row["description"],
                    "input": given,
                    "output": text,
                    "task_id": f"{row['name']}_{kind}_{place}",
                    "is_correct": kind == "correct",
                    "metadata": {
                        "source": "code_contests",
                        "difficulty": row["difficulty"],
                        "has_tests": bool(row["public_tests"]["input"]),
                    },
                }


def _lines(row: Row, processor: Any) -> list[str]:
    """Lines of a problem, every row's three fields counted."""
    records = list(_records(row))
    keep = _short(
        processor,
        *([record[name] for record in records] for name in ("instruction", "input", "output")),
    )
    return [json.dumps(record) + "\n" for record, kept in zip(records, keep, strict=True) if kept]


def _lines_counted_once(row: Row, processor: Any) -> list[str]:
    """Lines of a problem, its own texts counted once."""
    records = list(_records(row))
    if not records:
        return []
    first = records[0]
    left = LIMIT - sum(_counted(processor, [first["instruction"], first["input"]]))
    counts = _counted(processor, [record["output"] for record in records])
    return [
        json.dumps(record) + "\n"
        for record, count in zip(records, counts, strict=True)
        if count <= left
    ]


def _short(processor: Any, *fields: list[str]) -> list[bool]:
    """Which rows are within the limit: the sum of three separate encodes."""
    counts = [_counted(processor, texts) for texts in fields]
    return [sum(each) <= LIMIT for each in zip(*counts, strict=True)]


def main(way: str, tokenizer: str, target: str, processes: str, *shards: str) -> None:
    out = Path(target)
    if way == "ours":
        import wmtp_assets.corpora.build  # noqa: F401 (its cost apart from imports is asked for)
    imported = sum(os.times()[:4])
    WAYS[way](Path(tokenizer), out, int(processes), list(shards))
    digest, rows = hashlib.sha256(), 0
    if way == "ours":  # hashed and counted while it was written
        stats = json.loads(out.with_name(f"{out.stem}_stats.json").read_bytes())
        result = {"rows": stats["rows"], "sha256": stats["jsonl"]["sha256"]}
        print(json.dumps({**result, "cpu": sum(os.times()[:4]) - imported}))
        return
    with out.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            rows += block.count(b"\n")
    print(json.dumps({"rows": rows, "sha256": digest.hexdigest()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
