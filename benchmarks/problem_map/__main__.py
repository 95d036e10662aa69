"""What the current contract's metadata file costs at 3.7 million rows.

    python -m benchmarks.problem_map [FOLDER]          # from the repository's root

`write` makes the file from the row index and a line or two of each problem, `check` compares it
with what lines that were read already require, `map` answers what the file holds of 1,000 problems
without it, and `json` is `json.load` of the file: each a process of its own. Wall and CPU seconds,
and the greatest anonymous memory in MB.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measure import run
from benchmarks.report import Report
from wmtp_assets.corpora.row_index import ROWS_PER_GROUP, IndexWriter

ROWS, PROBLEMS = 3_691_981, 13_328  # of the real train split
_LINE = 4096
SECONDS, MEGABYTES = 60, 300


def write_world(folder: Path) -> None:
    """A row index of the real size, and a sparse JSONL file in which the first and last line of
    each problem are rows."""
    random = np.random.default_rng(11)
    problem = np.sort(random.integers(0, PROBLEMS, ROWS))
    begins = np.flatnonzero(np.diff(problem, prepend=-1))
    # Correct solutions come first, as upstream has them.
    is_correct = np.empty(ROWS, np.bool_)
    for begin, end in itertools.pairwise([*begins.tolist(), ROWS]):
        is_correct[begin:end] = np.arange(end - begin) < 0.475 * (end - begin)
    difficulty = random.integers(0, 29, PROBLEMS)
    with (folder / "train.jsonl").open("wb") as file:
        for row in np.unique(np.concatenate((begins, begins[1:] - 1, [ROWS - 1]))).tolist():
            name = f"{problem[row]}_A. Problems and Their Names"
            kind = "correct" if is_correct[row] else "incorrect"
            record = {"output": "x" * 3000, "task_id": f"{name}_{kind}_{row}"}
            file.seek(row * _LINE)
            file.write(json.dumps(record).encode().ljust(_LINE - 1) + b"\n")
    with (folder / "train.index.parquet").open("wb") as file:
        writer = IndexWriter(file)
        for begin in range(0, ROWS, ROWS_PER_GROUP):
            rows = np.arange(begin, min(begin + ROWS_PER_GROUP, ROWS))
            columns = {
                "problem": problem[rows],
                "is_correct": is_correct[rows],
                "difficulty": difficulty[problem[rows]],
                "output_tokens": random.integers(10, 1200, rows.size),
                "offset": rows * _LINE,
                "length": np.full(rows.size, _LINE),
            }
            writer.write(columns, rows.size)
        writer.close({})


def step(name: str, folder: Path) -> dict[str, object]:
    """One of the ways."""
    index, jsonl = folder / "train.index.parquet", folder / "train.jsonl"
    out = folder / "train_metadata.json"
    if name == "json":
        with out.open("rb") as file:
            return {"problems": len(json.load(file)["problem_index_map"])}
    from wmtp_assets.corpora.problem_map import ProblemIndexMap, ProblemRows
    from wmtp_assets.corpora.problem_metadata import write_problem_metadata
    from wmtp_assets.corpora.row_index import RowIndex

    if name == "write":
        return {"bytes": write_problem_metadata(index, jsonl, out)["bytes"]}
    rows = ProblemRows.of_index(RowIndex(index), jsonl)
    if name == "check":
        from wmtp_assets.corpora.problem_metadata_checks import StoredProblemMetadata
        from wmtp_assets.corpora.scanned_rows import LineFacts

        begins = np.flatnonzero(np.diff(rows.problem, prepend=-1)).tolist()
        runs = [(begin, rows.ids[rows.problem[begin]]) for begin in begins]
        facts = LineFacts(rows.is_correct, rows.difficulty, runs)
        stored = StoredProblemMetadata(out, lambda: jsonl, lambda: facts)
        return {"differences": len(stored.compared.differences)}
    found = ProblemIndexMap(rows)
    some = found.ids[:: len(found) // 1000]
    return {"lines": sum(len(found[problem]["correct_indices"]) for problem in some)}


def main(folder: Path) -> int:
    """Measures each way. 1 when the file takes longer, or more memory, than it may."""
    if not (folder / "train.index.parquet").exists():
        write_world(folder)
    report = Report()
    for name in ("write", "check", "map", "json"):
        found = run(["benchmarks.problem_map", name, str(folder)])
        bars = (SECONDS, MEGABYTES) if name == "write" else (None, None)
        assert not found.result.get("differences"), "it is not what was written"
        report.figure(f"{name}.wall_s", found.wall, bars[0])
        report.figure(f"{name}.cpu_s", found.cpu)
        report.figure(f"{name}.peak_mb", found.peak_mb, bars[1])
    report.figure("file_mb", (folder / "train_metadata.json").stat().st_size / 1e6)
    return 0 if report.ok else 1


if __name__ == "__main__":
    if len(sys.argv) > 2:
        print(json.dumps(step(sys.argv[1], Path(sys.argv[2]))))
    elif len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory() as made:
            sys.exit(main(Path(made)))
