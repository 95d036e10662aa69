"""The real references of HumanEval and MBPP, executed against their own tests.

    python -m benchmarks.quality.references       # from the repository's root

Needs the real tasks beside the checkout. All rows are executed by the judge with a new cache, then
again with the same one, which must execute nothing. Then one reference of each set is broken on
purpose, and must be the only one that fails.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.codecontests.__main__ import default_tokenizer
from benchmarks.measure import run
from benchmarks.quality.leaks import real_rows
from benchmarks.report import Report

_HERE = "benchmarks.quality.references"
TASKS = {"humaneval": 164, "mbpp": 974}
BROKEN = 41  # the row that is broken on purpose
_FIELD = {"humaneval": "canonical_solution", "mbpp": "code"}


def main(folder: Path, tokenizer: Path) -> int:
    """Executes both sets. 1 when a reference fails, or a broken one is not named."""
    report = Report()
    for name, tasks in TASKS.items():
        result: dict[str, Any] = run([_HERE, name, str(folder), str(tokenizer)]).result
        report.figure(f"references.{name}.rows", result["rows"])
        report.figure(f"references.{name}.pass", result["passed"], tasks, least=True)
        report.figure(f"references.{name}.in_one_process", result["together"])
        report.figure(f"references.{name}.executed_again", result["executed_again"], 0)
        named = result["failing_when_one_is_broken"] == [BROKEN]
        report.figure(f"references.{name}.broken_one_is_named", int(named), 1, least=True)
        for row, reason in result["failing"]:
            print(f"{name} row {row} fails: {reason}", file=sys.stderr)
    return 0 if report.ok else 1


def step(name: str, folder: Path, tokenizer: Path) -> dict[str, Any]:
    """One set: all of its references, again, and with a broken one."""
    from wmtp_assets.execution.cache import VerdictCache
    from wmtp_assets.execution.judge import Judge

    rows = real_rows(name)
    with VerdictCache(folder / f"{name}-cache") as cache, Judge(None, cache) as judge:
        lines, together = executed(name, folder / name, tokenizer, rows, judge)
        before = judge.executed
        executed(name, folder / f"{name}-again", tokenizer, rows, judge)
        again = judge.executed - before
        rows[BROKEN] = {**rows[BROKEN], _FIELD[name]: "    return 'broken'\n"}
        if name == "mbpp":
            rows[BROKEN][_FIELD[name]] = "def unheard_of():\n    return 'broken'\n"
        broken, _ = executed(name, folder / f"{name}-broken", tokenizer, rows, judge)
    verdicts = Counter(lines["verdict"])
    return {
        "rows": len(lines["row"]),
        "passed": verdicts["passed"],
        "together": together,
        "failing": failing(lines),
        "executed_again": again,
        "failing_when_one_is_broken": [row for row, _ in failing(broken)],
    }


def executed(
    name: str, folder: Path, tokenizer: Path, rows: list[dict[str, Any]], judge: Any
) -> tuple[dict[str, list[Any]], int]:
    """The lines of all rows, and how many tasks were judged in one process at last."""
    from wmtp_assets.corpora.build import build_split
    from wmtp_assets.corpora.formats import FORMATS
    from wmtp_assets.corpora.reader import Corpus
    from wmtp_assets.quality.drawing import drawn_rows
    from wmtp_assets.quality.labels import DrawnRows, lines_of

    folder.mkdir()
    shard = folder / "test.parquet"
    pq.write_table(pa.Table.from_pylist(rows), shard)
    build_split(FORMATS[name], [shard], tokenizer, folder, "test", processes=1)
    corpus = Corpus(folder / "test.jsonl")
    turns: list[int] = []

    def judging(tasks: Iterator[Any]) -> Iterator[Any]:
        turns.append(0)
        for one in judge.judge(tasks):
            turns[-1] += 1
            yield one

    drawn = DrawnRows(corpus, FORMATS[name], [shard], drawn_rows(corpus.row_index, "all", 0))
    return lines_of(drawn, judging), sum(turns[1:])


def failing(lines: dict[str, list[Any]]) -> list[tuple[int, str]]:
    """The rows that do not pass, and why."""
    of = zip(lines["row"], lines["verdict"], lines["reason"], strict=True)
    return [
        (int(row), f"{verdict}: {reason}") for row, verdict, reason in of if verdict != "passed"
    ]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(step(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
    else:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as made:
            sys.exit(main(Path(made), default_tokenizer()))
